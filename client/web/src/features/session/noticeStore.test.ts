import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { NoticeStore } from './noticeStore';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it('shows the newest three, each once, and lets them go', () => {
  const store = new NoticeStore();
  for (const text of ['a', 'b', 'c', 'b', 'd']) store.show('info', text);
  expect(store.snapshot().map((toast) => toast.text)).toEqual(['c', 'b', 'd']);
  vi.advanceTimersByTime(4000);
  expect(store.snapshot()).toEqual([]);
});

it('keeps a problem longer than news', () => {
  const store = new NoticeStore();
  store.show('info', 'news');
  store.show('bad', 'problem');
  vi.advanceTimersByTime(4000);
  expect(store.snapshot().map((toast) => toast.text)).toEqual(['problem']);
});

// @vitest-environment jsdom
import { beforeEach, expect, it, vi } from 'vitest';
import { forgetBallots, keepBallot, keptBallot } from './ballotStore';

const ref = { meeting: 'hop', vote: 'v1' };
const ballot = { token: 'dG9rZW4', key: 'a2V5', revision: 2, pending: ['yes'] };

beforeEach(() => {
  localStorage.clear();
});

it('keeps one ballot for each person and vote', () => {
  keepBallot('user:a', ref, ballot);
  expect(keptBallot('user:a', ref)).toEqual(ballot);
  expect(keptBallot('user:b', ref)).toBeUndefined();
  expect(keptBallot('user:a', { ...ref, vote: 'v2' })).toBeUndefined();
  expect(keptBallot('user:a', { ...ref, meeting: 'ho' })).toBeUndefined();
});

it('leaves out what was acknowledged', () => {
  keepBallot('user:a', ref, { ...ballot, pending: undefined });
  expect(Object.values({ ...localStorage }).join()).not.toContain('yes');
  expect(keptBallot('user:a', ref)).toEqual({ token: 'dG9rZW4', key: 'a2V5', revision: 2 });
});

it.each([
  '',
  '{',
  'null',
  '[]',
  '{"token":1}',
  '{"token":"t","key":"k","revision":"1"}',
  '{"token":"t","key":"k","revision":1,"pending":[1]}',
  '{"token":"t","key":"k","revision":1,"inverse":1}',
])('passes over %s', (json) => {
  keepBallot('user:a', ref, ballot);
  localStorage.setItem(localStorage.key(0) ?? '', json);
  expect(keptBallot('user:a', ref)).toBeUndefined();
});

it('forgets what is closed, of this person and meeting', () => {
  localStorage.setItem('diemcau.preferences', '{}');
  for (const vote of ['v1', 'v2', 'v10']) keepBallot('user:a', { ...ref, vote }, ballot);
  keepBallot('user:a', { ...ref, meeting: 'hop2' }, ballot);
  keepBallot('user:b', ref, ballot);
  forgetBallots('user:a', 'hop', ['v2']);
  expect(keptBallot('user:a', ref)).toBeUndefined();
  expect(keptBallot('user:a', { ...ref, vote: 'v10' })).toBeUndefined();
  expect(keptBallot('user:a', { ...ref, vote: 'v2' })).toEqual(ballot);
  expect(keptBallot('user:a', { ...ref, meeting: 'hop2' })).toEqual(ballot);
  expect(keptBallot('user:b', ref)).toEqual(ballot);
  expect(localStorage.getItem('diemcau.preferences')).toBe('{}');
});

it('says so where the browser keeps nothing', () => {
  const full = vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
    throw new DOMException('full', 'QuotaExceededError');
  });
  expect(() => keepBallot('user:a', ref, ballot)).toThrow('full');
  full.mockRestore();
});

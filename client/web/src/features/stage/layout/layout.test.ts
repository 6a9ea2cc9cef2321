import { describe, expect, it } from 'vitest';
import type { Person } from '../../session/person';
import { arrange } from './arrange';
import { gridShape, pageOf } from './grid';

function person(identity: string, change: Partial<Person> = {}): Person {
  return {
    identity,
    name: identity,
    isLocal: identity === 'me',
    joinedAt: 0,
    lastSpokeAt: 0,
    speaking: false,
    micOn: true,
    quality: 'good',
    cameraOn: false,
    camera: undefined,
    screenOn: false,
    screen: undefined,
    ...change,
  };
}

const wish = { speaker: undefined, pinned: undefined, limit: 7 };
const keys = (shown: readonly { key: string }[]) => shown.map(({ key }) => key);

describe('arrange', () => {
  it('shows oneself large when alone', () => {
    const { main, side } = arrange([person('me')], wish);
    expect([main?.key, keys(side)]).toEqual(['me/camera', []]);
  });

  it('prefers pinned, then a screen, then the speaker, then a camera', () => {
    const people = [person('me'), person('a'), person('b', { cameraOn: true }), person('c', { screenOn: true })];
    expect(arrange(people, { ...wish, speaker: 'a', pinned: 'b/camera' }).main?.key).toBe('b/camera');
    expect(arrange(people, { ...wish, speaker: 'a', pinned: 'gone/camera' }).main?.key).toBe('c/screen');
    const noScreen = people.slice(0, 3);
    expect(arrange(noScreen, { ...wish, speaker: 'a' }).main?.key).toBe('a/camera');
    expect(arrange(noScreen, wish).main?.key).toBe('b/camera');
  });

  it('keeps who shares in the side, and never shows one’s own screen', () => {
    const people = [person('me', { screenOn: true }), person('c', { screenOn: true })];
    const { main, side } = arrange(people, wish);
    expect([main?.key, keys(side)]).toEqual(['c/screen', ['me/camera', 'c/camera']]);
  });

  it('leaves out the silent when not all have room, and keeps the order', () => {
    const people = [
      person('me'),
      ...'abcdefghijkl'.split('').map((name, index) => person(name, { lastSpokeAt: name === 'l' ? 90 : index })),
    ];
    const { main, side, hidden } = arrange(people, { ...wish, speaker: 'a', limit: 4 });
    expect(main?.key).toBe('a/camera');
    expect(keys(side)).toEqual(['me/camera', 'j/camera', 'k/camera', 'l/camera']);
    expect(hidden).toBe(8);
  });
});

describe('gridShape', () => {
  it.each([
    [1, 1200, 700, 1],
    [2, 1200, 500, 2],
    [2, 360, 500, 1],
    [4, 1200, 700, 2],
    [6, 344, 430, 2],
    [9, 1200, 700, 3],
  ])('%i tiles in %i×%i stand in %i columns', (count, width, height, columns) => {
    const shape = gridShape(count, width, height, 8);
    expect(shape.columns).toBe(columns);
    expect(shape.columns * shape.width + 8 * (shape.columns - 1)).toBeLessThanOrEqual(width);
    expect(shape.rows * shape.height + 8 * (shape.rows - 1)).toBeLessThanOrEqual(height);
    expect(shape.columns * shape.rows).toBeGreaterThanOrEqual(count);
  });

  it('survives no space at all', () => expect(gridShape(3, 0, 0, 8).width).toBe(0));
});

describe('pageOf', () => {
  it('stays within what there is', () => {
    expect(pageOf([1, 2, 3, 4, 5], 9, 2)).toEqual({ items: [5], page: 2, pages: 3 });
    expect(pageOf([], 2, 4)).toEqual({ items: [], page: 0, pages: 1 });
  });
});

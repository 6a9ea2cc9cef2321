import { describe, expect, it } from 'vitest';
import { castDelay, margin, randomShare, spread } from './castDelay';

describe('castDelay', () => {
  it.each([
    [0, Infinity, 0],
    [0.5, Infinity, spread / 2],
    [1, Infinity, spread],
    [1, 10_000, 10_000 - margin],
    [0.5, 6_000, 1_000],
    [1, margin, 0],
    [1, 0, 0],
    [1, -5_000, 0],
  ])('for share %d of %d ms is %d', (share, closesIn, delay) => expect(castDelay(share, closesIn)).toBe(delay));
});

it('draws shares from 0 to below 1, all over', () => {
  const shares = Array.from({ length: 400 }, randomShare);
  expect(shares.every((s) => s >= 0 && s < 1)).toBe(true);
  expect(new Set(shares.map((s) => Math.floor(s * 10))).size).toBe(10);
});

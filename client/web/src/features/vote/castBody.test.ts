import { expect, it } from 'vitest';
import { castBody } from './castBody';

const ref = { meeting: 'm'.repeat(64), vote: 'v'.repeat(64) };
const cast = { token: 't'.repeat(43), signature: 's'.repeat(342), revision: 1000 };

it('has one length for every choice', () => {
  const most = Array.from({ length: 50 }, (_, i) => String(i).padStart(64, '0'));
  for (const choices of [[], ['yes'], ['khong-tan-thanh'], most]) expect(castBody(ref, { ...cast, choices })).toHaveLength(4096);
});

it('tells nothing of the order of marking', () => {
  expect(castBody(ref, { ...cast, choices: ['b', 'a', 'b'] })).toBe(castBody(ref, { ...cast, choices: ['a', 'b'] }));
});

it('refuses what does not fit', () => {
  expect(() => castBody(ref, { ...cast, choices: ['x'.repeat(4000)] })).toThrow();
});

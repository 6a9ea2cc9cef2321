import { expect, it } from 'vitest';
import { heardLevel, levelOf } from './useLevel';

it('measures silence, speech and full scale', () => {
  const tone = (amplitude: number) => Float32Array.from({ length: 480 }, (_, index) => amplitude * Math.sin(index / 3));
  expect(levelOf(new Float32Array(480))).toBe(0);
  expect(levelOf(tone(0.001))).toBeLessThan(heardLevel);
  expect(levelOf(tone(0.1))).toBeGreaterThan(heardLevel);
  expect(levelOf(tone(1))).toBe(1);
});

import { describe, expect, it } from 'vitest';
import { followSpeaker, speakerHold, type Speaker } from './speaker';

const nobody: Speaker = { identity: undefined, heardAt: 0 };

describe('followSpeaker', () => {
  it('takes the first to speak, and keeps them in silence', () => {
    const first = followSpeaker(nobody, ['a'], 1000);
    expect(first.identity).toBe('a');
    expect(followSpeaker(first, [], 60_000).identity).toBe('a');
  });

  it('keeps the speaker while someone louder interrupts', () => {
    expect(followSpeaker({ identity: 'a', heardAt: 1000 }, ['b', 'a'], 9000)).toEqual({ identity: 'a', heardAt: 9000 });
  });

  it('changes after a pause, not at once', () => {
    const a: Speaker = { identity: 'a', heardAt: 1000 };
    expect(followSpeaker(a, ['b'], 1000 + speakerHold - 1)).toBe(a);
    expect(followSpeaker(a, ['b', 'c'], 1000 + speakerHold).identity).toBe('b');
  });
});

/** How long, in milliseconds, a speaker stays on the large picture before another may take it. */
export const speakerHold = 1500;

/** Who is on the large picture, and since when they are heard. */
export interface Speaker {
  identity: string | undefined;
  /** When the present speaker was last heard, Unix milliseconds. */
  heardAt: number;
}

/**
 * Follows the speakers without flicker: the present one stays while speaking
 * and for a short pause; then the loudest of the others takes over.
 * `speaking` holds remote identities, loudest first.
 */
export function followSpeaker(current: Speaker, speaking: readonly string[], now: number): Speaker {
  if (current.identity !== undefined && speaking.includes(current.identity)) return { ...current, heardAt: now };
  const loudest = speaking[0];
  if (loudest === undefined) return current;
  if (current.identity !== undefined && now - current.heardAt < speakerHold) return current;
  return { identity: loudest, heardAt: now };
}

/** A choice leaves within this time, at a random moment, so that its arrival does not tell who pressed a button when. */
export const spread = 8_000;
/** A choice leaves at least this long before the vote closes, so that a slow line or a retry still makes it. */
export const margin = 4_000;

/** How long a choice is held, in ms, from when the vote had `closesIn` ms to go: `share` of the time there is. */
export function castDelay(share: number, closesIn = Infinity): number {
  return Math.max(0, Math.min(spread, closesIn - margin)) * share;
}

/** From 0 to below 1; not Math.random, whose next value can be computed from earlier ones. */
export function randomShare(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

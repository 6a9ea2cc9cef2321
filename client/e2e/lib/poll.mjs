// Waiting for a condition with a deadline, instead of sleeping and hoping.
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Calls probe until it returns something truthy and returns that.
 * A probe that throws counts as "not yet"; its last error is part of the report.
 * @param {string} what what is waited for, for the error message
 * @param {() => unknown | Promise<unknown>} probe
 * @param {{within?: number, every?: number}} [times] milliseconds
 */
export async function until(what, probe, { within = 10_000, every = 100 } = {}) {
  const deadline = performance.now() + within;
  let last;
  let failure;
  for (;;) {
    try {
      last = await probe();
      failure = undefined;
      if (last) return last;
    } catch (err) {
      failure = err;
    }
    if (performance.now() >= deadline) break;
    await delay(every);
  }
  const seen = failure ? `last error: ${failure.message}` : `last value: ${JSON.stringify(last)}`;
  throw new Error(`not within ${within} ms: ${what} (${seen})`);
}

/** Lets time pass while something is measured. Not for waiting until something is ready. */
export function measureFor(ms) {
  return delay(ms);
}

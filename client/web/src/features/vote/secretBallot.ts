import { BallotError, requestBallot, sendCast } from './api/ballots';
import { importBallotKey } from './ballotKey';
import type { VoteRef } from './ballotMessage';
import { keepBallot, keptBallot, type KeptBallot } from './ballotStore';
import { blindBallot, finishBallot } from './blindBallot';
import { fromBase64url, toBase64url } from './bytes';
import { castDelay, randomShare } from './castDelay';

/** The way of one person's ballot, as its screen shows it. */
export interface BallotView {
  /** idle → fetching → ready → holding (for a random moment) → sending → recorded; failed with `error`. */
  phase: 'idle' | 'fetching' | 'ready' | 'holding' | 'sending' | 'recorded' | 'failed';
  /** What is chosen and not acknowledged yet. What was recorded is not kept: nobody should find it on the device. */
  pending?: readonly string[];
  /** The key's fingerprint, for comparing with other screens. */
  fingerprint?: string;
  /** A BallotError, or an Error where the server or the browser did not do its part. */
  error?: Error;
}

export interface BallotOptions {
  user: string;
  ref: VoteRef;
  /** The vote's public key as everybody was told it. */
  publicKey: string;
  csrfToken: string;
  /** Ms until the vote closes, by the server's clock; Infinity where it is not known. */
  closesIn: () => number;
}

const retries = { first: 500, most: 8_000 };

/**
 * The secret ballot of one person in one vote, from the request to the acknowledged choice. Whatever must outlive a
 * reload is in the browser's storage before the server hears of it: a second instance goes on where this one stopped.
 * For useSyncExternalStore. It loads the cryptography with it: import it when a secret vote is there.
 */
export class SecretBallot {
  private readonly listeners = new Set<() => void>();
  private view: BallotView = { phase: 'idle' };
  private running: Promise<void> | undefined;
  private stopped = false;
  private wake: () => void = () => undefined;

  constructor(private readonly options: BallotOptions) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): BallotView => this.view;

  /** Gets the ballot, and sends the choice that an earlier page left. To be called for every voter when the vote opens: who asks later tells more. */
  start(): Promise<void> {
    return this.run();
  }

  /** Makes or changes the choice. It is kept at once and leaves at a random moment; the last one counts. */
  choose(choices: readonly string[]): Promise<void> {
    const kept = this.kept();
    if (!kept?.signature) return Promise.reject(new Error('there is no ballot yet'));
    this.keep({ ...kept, revision: kept.revision + 1, pending: [...choices] });
    this.show({ phase: this.view.phase === 'sending' ? 'sending' : 'holding', pending: choices, error: undefined });
    return this.run();
  }

  /** To be called when the closing time changes: a choice that is held may have to leave sooner. */
  closingChanged(): void {
    this.wake();
  }

  /** Ends what is going on in this page. What is kept stays kept. */
  stop(): void {
    this.stopped = true;
    this.wake();
  }

  /** One run at a time; a choice made meanwhile is seen by the loop that runs. */
  private run(): Promise<void> {
    this.running ??= this.work().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async work(): Promise<void> {
    try {
      await this.obtain();
      while (!this.stopped && this.kept()?.pending) await this.deliver();
    } catch (error) {
      this.show({ phase: 'failed', error: error instanceof Error ? error : new Error(String(error)) });
    }
  }

  private async obtain(): Promise<void> {
    const { ref, user, publicKey, csrfToken } = this.options;
    if (this.view.fingerprint && this.kept()?.signature) return;
    this.show({ phase: 'fetching', error: undefined });
    const key = await importBallotKey(publicKey);
    this.show({ fingerprint: key.fingerprint });
    await exclusively(`diemcau.ballot/${user}/${ref.meeting}/${ref.vote}`, async () => {
      let kept = this.kept();
      if (kept && kept.key !== publicKey) throw new Error('the vote has another key than before');
      if (!kept) {
        const { token, blinded, inverse } = await blindBallot(key, ref);
        kept = {
          token: toBase64url(token),
          key: publicKey,
          blinded: toBase64url(blinded),
          inverse: toBase64url(inverse),
          revision: 0,
        };
        this.keep(kept);
      }
      if (kept.signature) return;
      const { token, blinded = '', inverse = '' } = kept;
      const answer = await this.patiently(() => requestBallot(ref, blinded, csrfToken));
      const hidden = { token: fromBase64url(token), inverse: fromBase64url(inverse) };
      const signature = await finishBallot(key, ref, hidden, fromBase64url(answer));
      this.keep({ token, key: publicKey, signature: toBase64url(signature), revision: 0 });
    });
    const pending = this.kept()?.pending;
    this.show({ phase: pending ? 'holding' : 'ready', pending, error: undefined });
  }

  private async deliver(): Promise<void> {
    await this.hold();
    const kept = this.kept();
    if (this.stopped || !kept?.pending || !kept.signature) return;
    const { token, signature, pending: choices, revision } = kept;
    this.show({ phase: 'sending', pending: choices });
    try {
      await this.patiently(() => sendCast(this.options.ref, { token, signature, choices, revision }));
    } catch (error) {
      if (this.stopped) return;
      // A later choice stands: made in another tab, which shows it.
      if (!(error instanceof BallotError && error.code === 'ballot_stale')) {
        this.settle(revision);
        throw error;
      }
    }
    const left = this.settle(revision);
    this.show(left ? { phase: 'holding', pending: left, error: undefined } : { phase: 'recorded', pending: undefined, error: undefined });
  }

  /** Forgets the choice of a revision that was answered. Returns a choice made meanwhile. */
  private settle(revision: number): readonly string[] | undefined {
    const now = this.kept();
    if (!now) return undefined;
    if (now.revision !== revision) return now.pending;
    this.keep({ ...now, pending: undefined });
    return undefined;
  }

  /** Waits for the random moment, which moves when the closing time does. */
  private async hold(): Promise<void> {
    const share = randomShare();
    const start = performance.now();
    while (!this.stopped) {
      const passed = performance.now() - start;
      const left = castDelay(share, this.options.closesIn() + passed) - passed;
      if (left <= 0) return;
      await this.sleep(left);
    }
  }

  /** Repeats what failed for the moment until it is answered. Throws what will not pass, and the last failure once stopped. */
  private async patiently<T>(request: () => Promise<T>): Promise<T> {
    for (let pause = retries.first; ; pause = Math.min(2 * pause, retries.most)) {
      try {
        return await request();
      } catch (error) {
        if (this.stopped || !(error instanceof BallotError && error.passing)) throw error;
        this.show({ error });
        await this.sleep(pause);
        if (this.stopped) throw error;
      }
    }
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private kept(): KeptBallot | undefined {
    return keptBallot(this.options.user, this.options.ref);
  }

  private keep(ballot: KeptBallot): void {
    keepBallot(this.options.user, this.options.ref, ballot);
  }

  private show(change: Partial<BallotView>): void {
    this.view = { ...this.view, ...change };
    for (const listener of this.listeners) listener();
  }
}

/** One tab at a time, where the browser has locks (all that we support, on a secure page). */
async function exclusively(name: string, work: () => Promise<void>): Promise<void> {
  if ('locks' in navigator) await navigator.locks.request(name, work);
  else await work();
}

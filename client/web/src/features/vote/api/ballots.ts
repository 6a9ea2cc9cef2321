import type { VoteRef } from '../ballotMessage';
import { castBody, type Cast } from '../castBody';

/** A refusal or failure of the two ballot routes. Status 0: no answer. `code` and `detail` are those of its problem+json. */
export class BallotError extends Error {
  override name = 'BallotError';
  constructor(
    readonly status: number,
    readonly code = '',
    readonly detail = '',
  ) {
    super(detail || code || `HTTP ${status}`);
  }

  /** Whether the same request may succeed later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

async function post(path: string, init: RequestInit): Promise<Record<string, unknown>> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, method: 'POST', cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(10_000) });
  } catch {
    throw new BallotError(0);
  }
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    throw new BallotError(response.ok ? 502 : response.status);
  }
  const fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  const text = (name: string) => (typeof fields[name] === 'string' ? fields[name] : '');
  if (!response.ok) throw new BallotError(response.status, text('code'), text('detail'));
  return fields;
}

/** Asks for the signature on a blinded ballot, as the person who is signed in. Base64url both ways. Throws BallotError. */
export async function requestBallot({ meeting, vote }: VoteRef, blinded: string, csrfToken: string): Promise<string> {
  const path = `/api/v1/meetings/${encodeURIComponent(meeting)}/votes/${encodeURIComponent(vote)}/ballot`;
  const { signature } = await post(path, {
    headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': csrfToken },
    body: JSON.stringify({ blinded }),
  });
  if (typeof signature !== 'string') throw new BallotError(502);
  return signature;
}

/**
 * Sends a choice as nobody in particular: no cookie (which in today's browsers also means another connection than that
 * of the session), no referrer, one language for all. Throws BallotError.
 */
export async function sendCast(ref: VoteRef, cast: Cast): Promise<void> {
  const { revision } = await post('/api/v1/ballots', {
    credentials: 'omit',
    referrerPolicy: 'no-referrer',
    headers: { 'Content-Type': 'application/json', 'Accept-Language': 'vi' },
    body: castBody(ref, cast),
  });
  if (revision !== cast.revision) throw new BallotError(502);
}

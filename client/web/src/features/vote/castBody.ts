import type { VoteRef } from './ballotMessage';

/** Every body has this length, so that its length on the wire does not tell the choice. */
const size = 4096;

/** A choice on its way to the server; token and signature in base64url. */
export interface Cast {
  token: string;
  signature: string;
  /** Ids of what is marked. Sent sorted: the order of marking would tell ballots apart. */
  choices: readonly string[];
  /** 1 for the first choice, one more for each change. */
  revision: number;
}

/** The body of POST /api/v1/ballots. */
export function castBody({ meeting, vote }: VoteRef, { token, signature, choices, revision }: Cast): string {
  const sorted = [...new Set(choices)].sort();
  const body = JSON.stringify({ meeting, vote, token, signature, choices: sorted, revision });
  if (body.length > size) throw new Error('the ballot is too long');
  return body.padEnd(size);
}

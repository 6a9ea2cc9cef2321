import { concatBytes, type Bytes } from './bytes';

/** Names the vote that a ballot is good for. */
export interface VoteRef {
  meeting: string;
  vote: string;
}

const name = /^[A-Za-z0-9._-]{1,64}$/;

/** A text behind its length, so that no two sequences of texts join to the same bytes. */
function framed(text: string): Bytes {
  return concatBytes(Uint8Array.of(text.length >> 8, text.length & 0xff), new TextEncoder().encode(text));
}

function voteMessage({ meeting, vote }: VoteRef): Bytes {
  if (!name.test(meeting) || !name.test(vote)) throw new Error('the name of a meeting or vote is not valid');
  return concatBytes(framed('diemcau ballot v1'), framed(meeting), framed(vote));
}

/** The number of the ballot that a token is for: what the journal will show of it. */
export async function ballotId(token: Uint8Array, ref: VoteRef): Promise<Bytes> {
  const input = concatBytes(framed('diemcau ballot id v1'), voteMessage(ref), token);
  return new Uint8Array(await crypto.subtle.digest('SHA-256', input));
}

/** What is signed (RFC 9474 section 4.1): the ballot's number in place of random bytes, then the vote. */
export function preparedMessage(id: Uint8Array, ref: VoteRef): Bytes {
  return concatBytes(id, voteMessage(ref));
}

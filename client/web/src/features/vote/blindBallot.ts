import { RSABSSA } from '@cloudflare/blindrsa-ts';
import type { BallotKey } from './ballotKey';
import { ballotId, preparedMessage, type VoteRef } from './ballotMessage';
import type { Bytes } from './bytes';

// The variant of signaling/ballot. Its 32 random bytes are the ballot's number here, so that prepare() is our own.
const suite = RSABSSA.SHA384.PSS.Randomized();

/** A ballot of which the signature is still to come. All but `blinded` stays in this browser. */
export interface BlindedBallot {
  token: Bytes;
  /** What the server is asked to sign: 256 bytes that tell nothing of the token. */
  blinded: Uint8Array;
  /** What takes the blinding off again. */
  inverse: Uint8Array;
}

/** Draws a ballot for a vote and hides it (RFC 9474 section 4.2). */
export async function blindBallot(key: BallotKey, ref: VoteRef): Promise<BlindedBallot> {
  const token = crypto.getRandomValues(new Uint8Array(32));
  const { blindedMsg, inv } = await suite.blind(key.key, preparedMessage(await ballotId(token, ref), ref));
  return { token, blinded: blindedMsg, inverse: inv };
}

/** Takes the blinding off the server's answer (RFC 9474 section 4.4). Throws if what comes out is no signature of the key. */
export async function finishBallot(
  key: BallotKey,
  ref: VoteRef,
  { token, inverse }: Pick<BlindedBallot, 'token' | 'inverse'>,
  blindSignature: Uint8Array,
): Promise<Uint8Array> {
  return suite.finalize(key.key, preparedMessage(await ballotId(token, ref), ref), blindSignature, inverse);
}

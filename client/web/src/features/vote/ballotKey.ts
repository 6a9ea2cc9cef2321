import { concatBytes, fromBase64url } from './bytes';

/** The public key of one vote. */
export interface BallotKey {
  /** SubjectPublicKeyInfo in base64url, as the server announced it to everybody. */
  spki: string;
  /** For people to compare on their screens, as in "K7QX-2MVA-PZ4E-T6RD". */
  fingerprint: string;
  key: CryptoKey;
}

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

function fingerprintOf(digest: Uint8Array): string {
  let bits = 0n;
  for (const b of digest.subarray(0, 10)) bits = (bits << 8n) | BigInt(b);
  const letters = Array.from({ length: 16 }, (_, i) => base32[Number((bits >> BigInt(75 - 5 * i)) & 31n)]);
  return letters.join('').replace(/.{4}(?=.)/g, '$&-');
}

/**
 * Reads a vote's public key. Throws for anything but RSA of 2048 bits with exponent 65537 in its one encoding: with an
 * odd key a server could try to tell voters apart.
 */
export async function importBallotKey(spki: string): Promise<BallotKey> {
  const der = fromBase64url(spki);
  const key = await crypto.subtle.importKey('spki', der, { name: 'RSA-PSS', hash: 'SHA-384' }, true, ['verify']);
  const { modulusLength, publicExponent } = key.algorithm as RsaHashedKeyAlgorithm;
  const again = new Uint8Array(await crypto.subtle.exportKey('spki', key));
  const same = again.length === der.length && again.every((b, i) => b === der[i]);
  const odd = ((der[der.length - 6] ?? 0) & 1) === 1; // the modulus ends before the exponent's five bytes
  if (modulusLength !== 2048 || concatBytes(publicExponent).join() !== '1,0,1' || !same || !odd) {
    throw new Error('the public key of the vote is not valid');
  }
  return { spki, key, fingerprint: fingerprintOf(new Uint8Array(await crypto.subtle.digest('SHA-256', der))) };
}

import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { importBallotKey } from './ballotKey';
import { ballotId } from './ballotMessage';
import { blindBallot, finishBallot } from './blindBallot';
import { fromBase64url, toBase64url, toHex } from './bytes';
import { castBody } from './castBody';

// Written by the Go tests, which sign what the browser blinds and verify what it finishes.
interface Interop {
  meeting: string;
  vote: string;
  publicKey: string;
  fingerprint: string;
  cases: {
    name: string;
    randomness: string;
    token: string;
    id: string;
    blinded: string;
    blindSignature: string;
    signature: string;
    choices: string[];
    revision: number;
    body: string;
  }[];
}

const path = new URL('../../../../../signaling/ballot/testdata/interop.json', import.meta.url);
const interop = JSON.parse(readFileSync(path, 'utf8')) as Interop;
const ref = { meeting: interop.meeting, vote: interop.vote };

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** Hands out the bytes instead of random ones, and tells how many are left. */
function fixRandomness(bytes: Uint8Array): () => number {
  let at = 0;
  vi.spyOn(crypto, 'getRandomValues').mockImplementation((array) => {
    const out = array as Uint8Array;
    expect(at + out.length).toBeLessThanOrEqual(bytes.length);
    out.set(bytes.subarray(at, at + out.length));
    at += out.length;
    return array;
  });
  return () => bytes.length - at;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the same as the server', () => {
  it('reads the key and shows its fingerprint', async () => {
    expect((await importBallotKey(interop.publicKey)).fingerprint).toBe(interop.fingerprint);
  });

  it.each(interop.cases)('$name', async (c) => {
    const key = await importBallotKey(interop.publicKey);
    const left = fixRandomness(fromHex(c.randomness));
    const ballot = await blindBallot(key, ref);
    expect(left()).toBe(0);
    expect(toHex(ballot.token)).toBe(c.token);
    expect(toHex(await ballotId(ballot.token, ref))).toBe(c.id);
    expect(toBase64url(ballot.blinded)).toBe(c.blinded);
    const signature = toBase64url(await finishBallot(key, ref, ballot, fromBase64url(c.blindSignature)));
    expect(signature).toBe(c.signature);
    const { choices, revision } = c;
    expect(castBody(ref, { token: toBase64url(ballot.token), signature, choices, revision })).toBe(c.body);
  });
});

describe('what is refused', () => {
  it('an answer that is no signature of the key', async () => {
    const key = await importBallotKey(interop.publicKey);
    const [first, second] = interop.cases;
    if (!first || !second) throw new Error('two cases are needed');
    fixRandomness(fromHex(first.randomness));
    const ballot = await blindBallot(key, ref);
    vi.restoreAllMocks();
    for (const bad of [second.blindSignature, first.signature, first.blinded]) {
      await expect(finishBallot(key, ref, ballot, fromBase64url(bad))).rejects.toThrow();
    }
    await expect(finishBallot(key, { ...ref, vote: 'another' }, ballot, fromBase64url(first.blindSignature))).rejects.toThrow();
    await expect(finishBallot(key, ref, ballot, fromBase64url(first.blindSignature).subarray(1))).rejects.toThrow();
  });

  it('keys of another kind', async () => {
    const generate = async (modulusLength: number, exponent: number[]) => {
      const algorithm = { name: 'RSA-PSS', hash: 'SHA-384', modulusLength, publicExponent: Uint8Array.from(exponent) };
      const { publicKey } = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      return new Uint8Array(await crypto.subtle.exportKey('spki', publicKey));
    };
    const good = fromBase64url(interop.publicKey);
    const even = good.slice();
    even[even.length - 6] = (even[even.length - 6] ?? 0) & 0xfe;
    const bad = [await generate(1024, [1, 0, 1]), await generate(2048, [3]), even, Uint8Array.of(...good, 0), good.slice(1)];
    for (const der of bad) await expect(importBallotKey(toBase64url(der))).rejects.toThrow();
    await expect(importBallotKey(`${interop.publicKey}=`)).rejects.toThrow();
    await expect(importBallotKey('')).rejects.toThrow();
  });

  it.each(['', 'a b', 'a/b', 'họp', 'x'.repeat(65)])('the name %j', async (name) => {
    await expect(ballotId(new Uint8Array(32), { ...ref, vote: name })).rejects.toThrow();
    await expect(ballotId(new Uint8Array(32), { ...ref, meeting: name })).rejects.toThrow();
  });

  it('another spelling of the same bytes', () => {
    expect(toHex(fromBase64url('AAE'))).toBe('0001');
    for (const bad of ['AAF', 'AAE=', 'A', '+/8', 'AA E']) expect(() => fromBase64url(bad)).toThrow();
  });
});

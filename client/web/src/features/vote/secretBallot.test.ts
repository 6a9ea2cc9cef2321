import { constants, generateKeyPairSync, privateDecrypt, verify, type KeyObject } from 'node:crypto';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ballotId, preparedMessage } from './ballotMessage';
import { keptBallot } from './ballotStore';
import { fromBase64url, toBase64url } from './bytes';
import { spread } from './castDelay';
import { SecretBallot, type BallotView } from './secretBallot';

const ref = { meeting: 'hop', vote: 'v1' };
const user = 'user:ha';
let keys: KeyPair;
let publicKey: string;
let closesIn: number;

interface KeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

function newKeys(): KeyPair {
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

function spki({ publicKey }: KeyPair): string {
  return toBase64url(publicKey.export({ type: 'spki', format: 'der' }));
}

/** What came in, and what is recorded, on a server that really signs and verifies. */
class Server {
  requests: { path: string; init: RequestInit }[] = [];
  issued?: string;
  recorded?: { choices: string[]; revision: number; token: string };
  /** Answers for the next requests, before the server itself answers. `lost`: it did its work and the answer got lost. */
  trouble: ('offline' | 'lost' | [status: number, code: string])[] = [];

  readonly fetch = async (path: string, init: RequestInit): Promise<Response> => {
    this.requests.push({ path, init });
    const trouble = this.trouble.shift();
    if (trouble === 'offline') throw new TypeError('offline');
    if (Array.isArray(trouble)) return this.problem(...trouble);
    const response = path === '/api/v1/ballots' ? await this.cast(init.body as string) : this.issue(init.body as string);
    if (trouble === 'lost') throw new TypeError('connection reset');
    return response;
  };

  private problem(status: number, code: string): Response {
    return Response.json({ status, code, detail: 'Không được.' }, { status });
  }

  private issue(json: string): Response {
    const { blinded } = JSON.parse(json) as { blinded: string };
    if (this.issued !== undefined && this.issued !== blinded) return this.problem(409, 'already_issued');
    this.issued = blinded;
    // The bare RSA operation (RFC 9474 section 4.3).
    const key = { key: keys.privateKey, padding: constants.RSA_NO_PADDING };
    return Response.json({ signature: toBase64url(privateDecrypt(key, fromBase64url(blinded))) });
  }

  private async cast(json: string): Promise<Response> {
    const body = JSON.parse(json) as { token: string; signature: string; choices: string[]; revision: number };
    const message = preparedMessage(await ballotId(fromBase64url(body.token), ref), ref);
    const key = { key: keys.publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 };
    if (!verify('sha384', message, key, fromBase64url(body.signature))) return this.problem(403, 'ballot_invalid');
    if (this.recorded && body.revision < this.recorded.revision) return this.problem(409, 'ballot_stale');
    this.recorded = body;
    return Response.json({ ballot: '', revision: body.revision });
  }

  casts(): RequestInit[] {
    return this.requests.filter((r) => r.path === '/api/v1/ballots').map((r) => r.init);
  }
}

let server: Server;
let storage: Map<string, string>;

function open(): SecretBallot {
  return new SecretBallot({ user, ref, publicKey, csrfToken: 'csrf', closesIn: () => closesIn });
}

/** Lets time run, a little at a time, until the screen shows what is expected. */
async function shows(ballot: SecretBallot, phase: BallotView['phase']): Promise<void> {
  const deadline = Date.now() + 20_000; // Date is not faked
  while (ballot.snapshot().phase !== phase) {
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(ballot.snapshot())}`);
    await vi.advanceTimersByTimeAsync(50);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

beforeAll(() => {
  keys = newKeys();
  publicKey = spki(keys);
});

beforeEach(() => {
  server = new Server();
  storage = new Map();
  closesIn = Infinity;
  vi.stubGlobal('fetch', server.fetch);
  vi.stubGlobal('navigator', { locks: { request: (_: string, work: () => Promise<void>) => work() } });
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => storage.get(key) ?? null,
    setItem: (key: string, value: string) => void storage.set(key, value),
  });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe('a ballot', () => {
  it('is got with the session and cast without', async () => {
    const ballot = open();
    const seen: string[] = [];
    ballot.subscribe(() => seen.push(ballot.snapshot().phase));
    await ballot.start();
    expect(ballot.snapshot()).toMatchObject({ phase: 'ready', fingerprint: expect.stringMatching(/^(\w{4}-){3}\w{4}$/) as string });
    expect(server.requests[0]).toMatchObject({
      path: '/api/v1/meetings/hop/votes/v1/ballot',
      init: { method: 'POST', headers: { 'X-CSRF-Token': 'csrf' } },
    });
    expect(server.requests[0]?.init.credentials).toBeUndefined();

    void ballot.choose(['yes']);
    expect(ballot.snapshot()).toMatchObject({ phase: 'holding', pending: ['yes'] });
    await shows(ballot, 'recorded');
    expect(server.recorded).toMatchObject({ choices: ['yes'], revision: 1 });
    const [cast] = server.casts();
    expect(cast).toMatchObject({ credentials: 'omit', referrerPolicy: 'no-referrer', cache: 'no-store', redirect: 'error' });
    expect(Object.keys(cast?.headers ?? {})).toEqual(['Content-Type', 'Accept-Language']);
    expect(cast?.body).not.toContain(user);
    expect(seen).toEqual(expect.arrayContaining(['fetching', 'ready', 'holding', 'sending', 'recorded']));
  });

  it('keeps no choice and nothing that links once it is done', async () => {
    const ballot = open();
    await ballot.start();
    const { blinded } = JSON.parse(server.requests[0]?.init.body as string) as { blinded: string };
    void ballot.choose(['yes']);
    expect([...storage.values()].join()).toContain('yes');
    await shows(ballot, 'recorded');
    expect([...storage.values()].join()).not.toContain('yes');
    expect([...storage.values()].join()).not.toContain(blinded);
    expect(ballot.snapshot().pending).toBeUndefined();
  });

  it('may be changed', async () => {
    const ballot = open();
    await ballot.start();
    void ballot.choose(['yes']);
    await shows(ballot, 'recorded');
    void ballot.choose(['no', 'other']);
    await shows(ballot, 'recorded');
    expect(server.recorded).toMatchObject({ choices: ['no', 'other'], revision: 2 });
  });

  it('is sent once when the choice is changed before it left', async () => {
    const ballot = open();
    await ballot.start();
    void ballot.choose(['yes']);
    void ballot.choose(['no']);
    await shows(ballot, 'recorded');
    expect(server.casts()).toHaveLength(1);
    expect(server.recorded).toMatchObject({ choices: ['no'], revision: 2 });
  });

  it('leaves at a random moment, at once when the vote is about to close', async () => {
    const ready = open();
    await ready.start();
    vi.spyOn(crypto, 'getRandomValues').mockImplementation((array) => {
      (array as Uint32Array).fill(2 ** 31);
      return array;
    });
    void ready.choose(['yes']);
    await vi.advanceTimersByTimeAsync(spread / 2 - 1);
    expect(server.casts()).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(1);
    await shows(ready, 'recorded');

    void ready.choose(['no']);
    await vi.advanceTimersByTimeAsync(100);
    expect(server.casts()).toHaveLength(1);
    closesIn = 3_000;
    ready.closingChanged();
    await vi.advanceTimersByTimeAsync(0);
    await shows(ready, 'recorded');
    expect(server.recorded).toMatchObject({ choices: ['no'] });
  });
});

describe('a reload', () => {
  it('while the ballot is asked for gets the same ballot', async () => {
    server.trouble = ['lost'];
    const first = open();
    const started = first.start();
    await shows(first, 'fetching');
    while (server.requests.length === 0 || server.trouble.length > 0) await new Promise((resolve) => setImmediate(resolve));
    first.stop();
    await started;
    const second = open();
    await second.start();
    expect(second.snapshot().phase).toBe('ready');
    expect(server.requests[1]?.init.body).toBe(server.requests[0]?.init.body);
  });

  it('while a choice is held sends it', async () => {
    const first = open();
    await first.start();
    const choosing = first.choose(['yes']);
    first.stop();
    await choosing;
    expect(server.recorded).toBeUndefined();
    const second = open();
    void second.start();
    await shows(second, 'recorded');
    expect(server.recorded).toMatchObject({ choices: ['yes'], revision: 1 });
  });

  it('after all is recorded asks and sends nothing', async () => {
    const first = open();
    await first.start();
    void first.choose(['yes']);
    await shows(first, 'recorded');
    const before = server.requests.length;
    const second = open();
    await second.start();
    expect(second.snapshot().phase).toBe('ready');
    expect(server.requests).toHaveLength(before);
    void second.choose(['no']);
    await shows(second, 'recorded');
    expect(server.recorded).toMatchObject({ choices: ['no'], revision: 2 });
  });
});

describe('trouble', () => {
  it('that passes is waited out', async () => {
    server.trouble = ['offline', [503, 'unavailable'], 'lost'];
    const ballot = open();
    void ballot.start();
    await shows(ballot, 'ready');
    server.trouble = [[429, 'busy'], 'lost', 'offline'];
    void ballot.choose(['yes']);
    await shows(ballot, 'recorded');
    expect(server.recorded).toMatchObject({ choices: ['yes'], revision: 1 });
    expect(ballot.snapshot().error).toBeUndefined();
  });

  it('a ballot on another device', async () => {
    await open().start();
    storage.clear();
    const other = open();
    await other.start();
    expect(other.snapshot()).toMatchObject({ phase: 'failed', error: { status: 409, code: 'already_issued', detail: 'Không được.' } });
    await expect(other.choose(['yes'])).rejects.toThrow();
  });

  it('a vote that closed meanwhile', async () => {
    const ballot = open();
    await ballot.start();
    server.trouble = [[409, 'vote_closed']];
    void ballot.choose(['yes']);
    await shows(ballot, 'failed');
    expect(ballot.snapshot().error).toMatchObject({ code: 'vote_closed' });
    expect(keptBallot(user, ref)?.pending).toBeUndefined();
  });

  it('a later choice from another tab stands', async () => {
    const ballot = open();
    await ballot.start();
    server.recorded = { choices: ['no'], revision: 9, token: '' };
    void ballot.choose(['yes']);
    await shows(ballot, 'recorded');
    expect(server.recorded).toMatchObject({ choices: ['no'] });
  });

  it('a server that signs with another key is noticed', async () => {
    const honest = keys;
    keys = newKeys();
    const ballot = open();
    await ballot.start();
    keys = honest;
    expect(ballot.snapshot().phase).toBe('failed');
    expect(keptBallot(user, ref)?.signature).toBeUndefined();
  });

  it('another key than before is noticed', async () => {
    await open().start();
    const honest = publicKey;
    publicKey = spki(newKeys());
    const ballot = open();
    publicKey = honest;
    await ballot.start();
    expect(ballot.snapshot()).toMatchObject({ phase: 'failed', error: { message: 'the vote has another key than before' } });
    expect(server.requests).toHaveLength(1);
  });

  it('a browser that keeps nothing asks for no ballot', async () => {
    vi.stubGlobal('localStorage', {
      getItem: () => null,
      setItem: () => {
        throw new DOMException('full', 'QuotaExceededError');
      },
    });
    const ballot = open();
    await ballot.start();
    expect(ballot.snapshot().phase).toBe('failed');
    expect(server.requests).toHaveLength(0);
  });
});

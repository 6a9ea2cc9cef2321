// @vitest-environment jsdom
import { afterEach, describe, expect, it, vi } from 'vitest';
import { forgetJoined, joinedRoom, rememberJoined, tokenLasts } from './joined';
import { fetchConfig, fetchDemoToken, signalUrl } from './server';
import { invitationToken, readToken } from './token';

function jwt(claims: unknown): string {
  const bytes = new TextEncoder().encode(JSON.stringify(claims));
  const part = btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '');
  return `e30.${part}.signature`;
}

function answer(body: string, status = 200) {
  const fetched = vi.fn<typeof fetch>(() => Promise.resolve(new Response(body, { status })));
  vi.stubGlobal('fetch', fetched);
  return fetched;
}

afterEach(() => {
  vi.unstubAllGlobals();
  sessionStorage.clear();
});

describe('server', () => {
  it('reads the configuration', async () => {
    answer('{"demo":true,"version":"1.2"}');
    expect(await fetchConfig()).toEqual({ demo: true, version: '1.2' });
  });

  it('asks for a token with the name and the room', async () => {
    const fetched = answer('{"token":"abc"}');
    expect(await fetchDemoToken('Hà', 'hop')).toBe('abc');
    expect(fetched.mock.calls[0]?.[1]?.body).toBe('{"name":"Hà","room":"hop"}');
  });

  it.each([
    ['{"title":"Too many","detail":"Quá nhiều lượt"}', 429, 'Quá nhiều lượt'],
    ['<html>', 503, ''],
    ['{}', 400, ''],
  ])('reports %s with its status', async (body, status, detail) => {
    answer(body, status);
    await expect(fetchDemoToken('a', 'b')).rejects.toMatchObject({ name: 'ApiError', status, detail });
  });

  it('reports an answer without a token, and no answer', async () => {
    answer('{}');
    await expect(fetchDemoToken('a', 'b')).rejects.toMatchObject({ status: 502 });
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('offline')));
    await expect(fetchConfig()).rejects.toMatchObject({ status: 0 });
  });

  it('keeps the page’s host and safety for signalling', () => {
    expect(signalUrl(new URL('https://hop.example:8443/r/a'))).toBe('wss://hop.example:8443');
    expect(signalUrl(new URL('http://127.0.0.1:7880/'))).toBe('ws://127.0.0.1:7880');
  });
});

describe('token', () => {
  it('reads the claims, diacritics included', () => {
    expect(readToken(jwt({ sub: 'guest:1', name: 'Đỗ Ánh', exp: 5, video: { room: 'hop' } }))).toEqual({
      identity: 'guest:1',
      name: 'Đỗ Ánh',
      room: 'hop',
      expires: 5,
    });
  });

  it.each(['', 'x', 'a.b.c', 'a.bnVsbA.c', 'a.%%.c'])('refuses %s', (token) => expect(readToken(token)).toBeUndefined());

  it('takes an invitation from the fragment', () => {
    expect(invitationToken('#token=a.b.c')).toBe('a.b.c');
    expect(invitationToken('')).toBeUndefined();
  });
});

describe('joined', () => {
  it('remembers one room until it is left', () => {
    rememberJoined({ room: 'hop', name: 'Hà', token: 't' });
    expect(joinedRoom('hop')).toEqual({ room: 'hop', name: 'Hà', token: 't' });
    expect(joinedRoom('other')).toBeUndefined();
    forgetJoined();
    expect(joinedRoom('hop')).toBeUndefined();
  });

  it('ignores broken storage', () => {
    sessionStorage.setItem('diemcau.joined', '{');
    expect(joinedRoom('hop')).toBeUndefined();
  });

  it('knows when a token is about to end', () => {
    expect(tokenLasts(jwt({ exp: 1000 }), 900_000)).toBe(true);
    expect(tokenLasts(jwt({ exp: 1000 }), 950_000)).toBe(false);
    expect(tokenLasts('broken')).toBe(false);
  });
});

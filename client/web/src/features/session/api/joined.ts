import { readToken } from './token';

/** What a tab remembers while it is in a room, so that a reload comes back without asking. */
export interface Joined {
  room: string;
  name: string;
  token: string;
}

const key = 'diemcau.joined';

export function rememberJoined(joined: Joined): void {
  try {
    sessionStorage.setItem(key, JSON.stringify(joined));
  } catch {
    // Without storage a reload asks again.
  }
}

export function forgetJoined(): void {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // Nothing was stored.
  }
}

/** The room this tab was in, if it is `room` and was not left. */
export function joinedRoom(room: string): Joined | undefined {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(key) ?? 'null');
    if (typeof value !== 'object' || value === null) return undefined;
    const { room: stored, name, token } = value as Record<string, unknown>;
    if (stored !== room || typeof name !== 'string' || typeof token !== 'string') return undefined;
    return { room, name, token };
  } catch {
    return undefined;
  }
}

/** Whether a token still lasts at least a minute, by this machine's clock. */
export function tokenLasts(token: string, now = Date.now()): boolean {
  const claims = readToken(token);
  return claims !== undefined && (claims.expires === 0 || claims.expires * 1000 > now + 60_000);
}

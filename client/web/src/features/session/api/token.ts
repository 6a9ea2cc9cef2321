/** What the client reads of an access token. It is checked by the server only. */
export interface TokenClaims {
  room: string;
  name: string;
  identity: string;
  /** When the token ends, in Unix seconds; 0 if it does not say. */
  expires: number;
}

/** Reads the claims of a LiveKit access token (a JWT); undefined if it is not one. */
export function readToken(token: string): TokenClaims | undefined {
  const part = token.split('.')[1];
  if (part === undefined) return undefined;
  try {
    const bytes = Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (char) => char.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof claims !== 'object' || claims === null) return undefined;
    const { name, sub, exp, video } = claims as { name?: unknown; sub?: unknown; exp?: unknown; video?: { room?: unknown } };
    return {
      room: typeof video?.room === 'string' ? video.room : '',
      name: typeof name === 'string' ? name : '',
      identity: typeof sub === 'string' ? sub : '',
      expires: typeof exp === 'number' ? exp : 0,
    };
  } catch {
    return undefined;
  }
}

/** The access token of an invitation link, `#token=…`: the part of an address that is never sent to a server. */
export function invitationToken(hash: string = location.hash): string | undefined {
  return new URLSearchParams(hash.replace(/^#/, '')).get('token') ?? undefined;
}

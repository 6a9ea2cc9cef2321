import type { VoteRef } from './ballotMessage';

/**
 * What a browser keeps of one person's ballot until the vote closes, bytes in base64url. It is written before the
 * server is asked, so that a reload or a lost answer never costs the ballot: the same request gets the same answer.
 */
export interface KeptBallot {
  token: string;
  /** The key (SPKI) that the ballot was blinded for. */
  key: string;
  /** Gone once there is a signature: with the server's records `blinded` would tell whose ballot this is. */
  blinded?: string;
  inverse?: string;
  signature?: string;
  /** Of the last choice made. */
  revision: number;
  /** The last choice, until the server acknowledged it. */
  pending?: string[];
}

const prefix = 'diemcau.ballot/';

function meetingPrefix(user: string, meeting: string): string {
  return `${prefix}${encodeURIComponent(user)}/${encodeURIComponent(meeting)}/`;
}

function storageKey(user: string, { meeting, vote }: VoteRef): string {
  return meetingPrefix(user, meeting) + encodeURIComponent(vote);
}

const texts = ['blinded', 'inverse', 'signature'] as const;

function parse(json: string): KeptBallot | undefined {
  try {
    const value = JSON.parse(json) as Record<string, unknown> | null;
    if (typeof value?.token !== 'string' || typeof value.key !== 'string' || !Number.isInteger(value.revision)) return undefined;
    if (texts.some((name) => value[name] !== undefined && typeof value[name] !== 'string')) return undefined;
    const { pending } = value;
    if (pending !== undefined && !(Array.isArray(pending) && pending.every((c) => typeof c === 'string'))) return undefined;
    return value as unknown as KeptBallot;
  } catch {
    return undefined;
  }
}

/** The kept ballot of a person for a vote, if there is a readable one. */
export function keptBallot(user: string, ref: VoteRef): KeptBallot | undefined {
  return parse(localStorage.getItem(storageKey(user, ref)) ?? '');
}

/** Keeps a ballot, in place of what was kept. Throws where the browser keeps nothing: without it a reload would lose the vote. */
export function keepBallot(user: string, ref: VoteRef, ballot: KeptBallot): void {
  localStorage.setItem(storageKey(user, ref), JSON.stringify(ballot));
}

/** Forgets a person's ballots in a meeting except those of votes that are open: a closed vote's token is good for nothing but telling. */
export function forgetBallots(user: string, meeting: string, open: readonly string[]): void {
  const start = meetingPrefix(user, meeting);
  const keep = new Set(open.map((vote) => storageKey(user, { meeting, vote })));
  const names = Array.from({ length: localStorage.length }, (_, i) => localStorage.key(i) ?? '');
  for (const name of names) if (name.startsWith(start) && !keep.has(name)) localStorage.removeItem(name);
}

import { withoutMarks } from './names';

/** Longest room code the server takes, in characters. */
export const maxRoomCode = 64;
/** Longest display name the server takes, in characters. */
export const maxName = 60;

/** The room code of a title as people type it: "Họp giao ban" becomes "hop-giao-ban". A valid code is kept as it is. */
export function roomCode(title: string): string {
  const trimmed = title.trim();
  if (/^[A-Za-z0-9._-]+$/.test(trimmed)) return trimmed;
  return withoutMarks(trimmed)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^-+|-+$/g, '');
}

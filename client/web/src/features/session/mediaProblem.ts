import { PublishTrackError } from 'livekit-client';

export type MediaKind = 'mic' | 'camera' | 'screen';
export type MediaCause = 'denied' | 'missing' | 'busy' | 'insecure' | 'other' | 'publish' | 'forbidden';

/** Why a microphone, camera or screen is not to be had. The words are the catalogue's `media.<cause>.<kind>`. */
export interface MediaProblem {
  kind: MediaKind;
  cause: MediaCause;
  /** The browser's own name for the failure, for causes without words of their own. */
  detail: string;
}

/** Sorts what getUserMedia, getDisplayMedia or publishing threw (names: W3C Media Capture and Streams, 10.3). */
export function mediaProblem(kind: MediaKind, error: unknown): MediaProblem {
  const name = error instanceof Error || error instanceof DOMException ? error.name : 'Error';
  const causes: Record<string, MediaCause> = {
    NotAllowedError: 'denied',
    SecurityError: 'insecure',
    NotFoundError: 'missing',
    OverconstrainedError: 'missing',
    DevicesNotFoundError: 'missing',
    NotReadableError: 'busy',
    AbortError: 'busy',
    PublishTrackError: 'publish',
    TrackInvalidError: 'publish',
    NegotiationError: 'publish',
  };
  if (error instanceof PublishTrackError && error.status === 403) return { kind, cause: 'forbidden', detail: name };
  return { kind, cause: causes[name] ?? 'other', detail: name };
}

/** The problem of a page that browsers give no devices at all, because its address is not safe. */
export function insecureProblem(kind: MediaKind): MediaProblem | undefined {
  if (window.isSecureContext && 'mediaDevices' in navigator) return undefined;
  return { kind, cause: 'insecure', detail: '' };
}

/** Whether this browser can share its screen (phones cannot). */
export function canShareScreen(): boolean {
  return typeof navigator.mediaDevices?.getDisplayMedia === 'function';
}

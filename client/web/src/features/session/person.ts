import { ConnectionQuality, Track, type Participant, type TrackPublication } from 'livekit-client';

export type Quality = 'excellent' | 'good' | 'poor' | 'lost' | 'unknown';

/** One participant as the screens show it: a plain value, the same object as long as nothing changed. */
export interface Person {
  identity: string;
  name: string;
  isLocal: boolean;
  /** Unix milliseconds. */
  joinedAt: number;
  /** Unix milliseconds; 0: has not spoken. */
  lastSpokeAt: number;
  speaking: boolean;
  micOn: boolean;
  quality: Quality;
  /** Whether the camera is published and not muted; the picture may still be on its way. */
  cameraOn: boolean;
  camera: Track | undefined;
  screenOn: boolean;
  screen: Track | undefined;
}

const qualities: Record<ConnectionQuality, Quality> = {
  [ConnectionQuality.Excellent]: 'excellent',
  [ConnectionQuality.Good]: 'good',
  [ConnectionQuality.Poor]: 'poor',
  [ConnectionQuality.Lost]: 'lost',
  [ConnectionQuality.Unknown]: 'unknown',
};

const live = (publication: TrackPublication | undefined) => publication !== undefined && !publication.isMuted;

/** Reads a participant of the SDK; gives `before` back if nothing changed. */
export function readPerson(participant: Participant, before: Person | undefined): Person {
  const camera = participant.getTrackPublication(Track.Source.Camera);
  const screen = participant.getTrackPublication(Track.Source.ScreenShare);
  const micOn = live(participant.getTrackPublication(Track.Source.Microphone));
  const person: Person = {
    identity: participant.identity,
    name: participant.name || participant.identity,
    isLocal: participant.isLocal,
    joinedAt: participant.joinedAt?.getTime() ?? 0,
    lastSpokeAt: participant.lastSpokeAt?.getTime() ?? 0,
    speaking: participant.isSpeaking && micOn,
    micOn,
    quality: qualities[participant.connectionQuality],
    cameraOn: live(camera),
    camera: live(camera) ? camera?.track : undefined,
    screenOn: live(screen),
    screen: live(screen) ? screen?.track : undefined,
  };
  return before && same(before, person) ? before : person;
}

function same(a: Person, b: Person): boolean {
  return (Object.keys(a) as (keyof Person)[]).every((key) => a[key] === b[key]);
}

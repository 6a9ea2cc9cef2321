import { ConnectionState, RoomEvent, Track, type Room } from 'livekit-client';
import { readPerson, type Person } from './person';
import { followSpeaker, type Speaker } from './speaker';

export type LinkState = 'connecting' | 'connected' | 'reconnecting' | 'disconnected';

/** A sound of someone else that has to be played. */
export interface Sound {
  id: string;
  track: Track;
}

/** Everything the screens show of a room, as one immutable value. */
export interface RoomView {
  link: LinkState;
  /** Whether a lost connection is being entered anew, instead of picked up where it was. */
  restarting: boolean;
  /** Oneself first, then the others in the order they joined. */
  people: readonly Person[];
  /** The remote participant for the large picture. */
  speaker: string | undefined;
  sounds: readonly Sound[];
  /** False while the browser waits for a click before it plays sound. */
  soundAllowed: boolean;
}

/** Changes within this many milliseconds are shown together. */
const batchDelay = 40;

const links: Record<ConnectionState, LinkState> = {
  [ConnectionState.Disconnected]: 'disconnected',
  [ConnectionState.Connecting]: 'connecting',
  [ConnectionState.Connected]: 'connected',
  [ConnectionState.Reconnecting]: 'reconnecting',
  [ConnectionState.SignalReconnecting]: 'reconnecting',
};

const watched = [
  RoomEvent.ConnectionStateChanged,
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.TrackPublished,
  RoomEvent.TrackUnpublished,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackUnsubscribed,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.LocalTrackPublished,
  RoomEvent.LocalTrackUnpublished,
  RoomEvent.ActiveSpeakersChanged,
  RoomEvent.ParticipantNameChanged,
  RoomEvent.ConnectionQualityChanged,
  RoomEvent.AudioPlaybackStatusChanged,
] as const;

/** Watches one room and hands out its present view; for useSyncExternalStore. */
export class RoomStore {
  private readonly listeners = new Set<() => void>();
  private readonly seen = new Map<string, Person>();
  private speaker: Speaker = { identity: undefined, heardAt: 0 };
  private view: RoomView;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly room: Room) {
    this.view = this.read();
    for (const event of watched) room.on(event, this.changed);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): RoomView => this.view;

  /** Stops watching. */
  close(): void {
    clearTimeout(this.timer);
    for (const event of watched) this.room.off(event, this.changed);
    this.listeners.clear();
  }

  /** Something changed: the view is read again, once for a burst of changes. */
  private readonly changed = (): void => {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.view = this.read();
      for (const listener of this.listeners) listener();
    }, batchDelay);
  };

  private read(): RoomView {
    const others = [...this.room.remoteParticipants.values()];
    const people = [this.room.localParticipant, ...others].map((participant) => {
      const person = readPerson(participant, this.seen.get(participant.identity));
      this.seen.set(participant.identity, person);
      return person;
    });
    for (const identity of this.seen.keys()) {
      if (!people.some((person) => person.identity === identity)) this.seen.delete(identity);
    }
    people.sort((a, b) => Number(b.isLocal) - Number(a.isLocal) || a.joinedAt - b.joinedAt || (a.identity < b.identity ? -1 : 1));

    const speaking = this.room.activeSpeakers.filter((participant) => !participant.isLocal).map((participant) => participant.identity);
    this.speaker = followSpeaker(this.speaker, speaking, Date.now());
    if (this.speaker.identity !== undefined && !this.room.remoteParticipants.has(this.speaker.identity)) {
      this.speaker = { identity: undefined, heardAt: 0 };
    }
    const sounds = others
      .flatMap((participant) => [...participant.audioTrackPublications.values()])
      .flatMap(({ track, trackSid }) => (track?.kind === Track.Kind.Audio ? [{ id: trackSid, track }] : []));
    return {
      link: links[this.room.state],
      restarting: this.room.state === ConnectionState.Reconnecting,
      people,
      speaker: this.speaker.identity,
      sounds,
      soundAllowed: this.room.canPlaybackAudio,
    };
  }
}

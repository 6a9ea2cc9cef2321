import { ConnectionQuality, ConnectionState, RoomEvent, Track, type Room } from 'livekit-client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { RoomStore } from './roomStore';

type Publication = { isMuted: boolean; track?: object; trackSid: string };

function participant(identity: string, joinedAt: number) {
  const publications: Partial<Record<Track.Source, Publication>> = {};
  return {
    identity,
    name: '',
    isLocal: identity === 'me',
    joinedAt: new Date(joinedAt),
    isSpeaking: false,
    connectionQuality: ConnectionQuality.Good,
    publications,
    audioTrackPublications: new Map<string, Publication>(),
    getTrackPublication: (source: Track.Source) => publications[source],
  };
}

function fixture() {
  const handlers = new Map<string, Set<() => void>>();
  const room = {
    state: ConnectionState.Connected as ConnectionState,
    canPlaybackAudio: true,
    localParticipant: participant('me', 50),
    remoteParticipants: new Map<string, ReturnType<typeof participant>>(),
    activeSpeakers: [] as ReturnType<typeof participant>[],
    on: (event: string, handler: () => void) => handlers.set(event, (handlers.get(event) ?? new Set()).add(handler)),
    off: (event: string, handler: () => void) => handlers.get(event)?.delete(handler),
  };
  const emit = (event: RoomEvent) => handlers.get(event)?.forEach((handler) => handler());
  const listening = () => [...handlers.values()].reduce((sum, set) => sum + set.size, 0);
  return { room, emit, listening, store: new RoomStore(room as unknown as Room) };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it('shows oneself first, the others as they joined, and a burst of changes once', () => {
  const { room, emit, store } = fixture();
  const shown = vi.fn();
  store.subscribe(shown);
  for (const other of [participant('b', 20), participant('a', 10)]) {
    room.remoteParticipants.set(other.identity, other);
    emit(RoomEvent.ParticipantConnected);
  }
  expect(shown).not.toHaveBeenCalled();
  vi.runAllTimers();
  expect(shown).toHaveBeenCalledTimes(1);
  expect(store.snapshot().people.map((person) => person.identity)).toEqual(['me', 'a', 'b']);
});

it('keeps the value of a person who did not change', () => {
  const { room, emit, store } = fixture();
  const a = participant('a', 1);
  const b = participant('b', 2);
  room.remoteParticipants.set('a', a).set('b', b);
  emit(RoomEvent.ParticipantConnected);
  vi.runAllTimers();
  const before = store.snapshot().people;
  b.publications[Track.Source.Microphone] = { isMuted: false, trackSid: 'TR_1' };
  emit(RoomEvent.TrackUnmuted);
  vi.runAllTimers();
  const after = store.snapshot().people;
  expect(after[1]).toBe(before[1]);
  expect([before[2]?.micOn, after[2]?.micOn]).toEqual([false, true]);
});

it('follows the speaker and forgets one who left', () => {
  const { room, emit, store } = fixture();
  const a = participant('a', 1);
  room.remoteParticipants.set('a', a);
  room.activeSpeakers = [room.localParticipant, a];
  emit(RoomEvent.ActiveSpeakersChanged);
  vi.runAllTimers();
  expect(store.snapshot().speaker).toBe('a');
  room.remoteParticipants.delete('a');
  room.activeSpeakers = [];
  emit(RoomEvent.ParticipantDisconnected);
  vi.runAllTimers();
  expect(store.snapshot().speaker).toBeUndefined();
});

it('lists the sounds of the others, and a muted camera as no picture', () => {
  const { room, emit, store } = fixture();
  const a = participant('a', 1);
  a.audioTrackPublications.set('TR_2', { isMuted: false, trackSid: 'TR_2', track: { kind: Track.Kind.Audio } });
  a.publications[Track.Source.Camera] = { isMuted: true, trackSid: 'TR_3', track: {} };
  room.remoteParticipants.set('a', a);
  room.localParticipant.audioTrackPublications.set('TR_4', { isMuted: false, trackSid: 'TR_4', track: { kind: Track.Kind.Audio } });
  emit(RoomEvent.TrackSubscribed);
  vi.runAllTimers();
  expect(store.snapshot().sounds.map((sound) => sound.id)).toEqual(['TR_2']);
  expect(store.snapshot().people[1]?.camera).toBeUndefined();
});

it('tells a connection entered anew from one picked up again', () => {
  const { room, emit, store } = fixture();
  const after = (state: ConnectionState) => {
    room.state = state;
    emit(RoomEvent.ConnectionStateChanged);
    vi.runAllTimers();
    const { link, restarting } = store.snapshot();
    return [link, restarting];
  };
  expect(after(ConnectionState.SignalReconnecting)).toEqual(['reconnecting', false]);
  expect(after(ConnectionState.Reconnecting)).toEqual(['reconnecting', true]);
  expect(after(ConnectionState.Connected)).toEqual(['connected', false]);
});

it('stops listening when closed', () => {
  const { store, listening } = fixture();
  expect(listening()).toBeGreaterThan(0);
  store.close();
  expect(listening()).toBe(0);
});

import { EventEmitter } from 'node:events';
import { RoomEvent, type Room } from 'livekit-client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { keptFor, mostUnasked, Showing } from './showing';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A room of cameras of which the first `given` come by themselves; `asked` lists what was asked for. */
function largeRoom(count: number, given = mostUnasked) {
  const asked: string[] = [];
  const remoteParticipants = new Map(
    Array.from({ length: count }, (_, i) => {
      const identity = `p${i}`;
      const camera = {
        isMuted: false,
        isDesired: true,
        isSubscribed: i < given,
        setSubscribed(wanted: boolean) {
          this.isDesired = wanted;
          this.isSubscribed = wanted;
          asked.push(`${wanted ? '+' : '-'}${identity}`);
        },
      };
      return [identity, { identity, getTrackPublication: () => camera, camera }] as const;
    }),
  );
  const room = Object.assign(new EventEmitter(), { remoteParticipants });
  const take = () => asked.splice(0).sort();
  const camera = (identity: string) => {
    const found = remoteParticipants.get(identity);
    if (!found) throw new Error(identity);
    return found.camera;
  };
  return { room, camera, take, showing: new Showing(room as unknown as Room) };
}

it('asks for nothing in a small room', () => {
  const { showing, room, take } = largeRoom(mostUnasked);
  showing.show(['p1']);
  room.emit(RoomEvent.TrackPublished);
  vi.advanceTimersByTime(10 * keptFor);
  expect(take()).toEqual([]);
});

it('asks for what is on the screen and gives up the rest', () => {
  const { showing, take } = largeRoom(40);
  showing.show(['p0', 'p1', 'p30']);
  const others = Array.from({ length: mostUnasked - 2 }, (_, i) => `-p${i + 2}`).sort();
  expect(take()).toEqual(['+p30', ...others]);
  showing.show(['p0', 'p1', 'p30']);
  expect(take()).toEqual([]);
});

it('keeps a picture for a while that left the screen', () => {
  const { showing, take } = largeRoom(40, 0);
  showing.show(['p1', 'p2']);
  expect(take()).toEqual(['+p1', '+p2']);
  showing.show(['p2', 'p3']);
  expect(take()).toEqual(['+p3']);
  vi.advanceTimersByTime(keptFor - 1);
  showing.show(['p1', 'p2']);
  vi.advanceTimersByTime(keptFor - 1);
  expect(take()).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(take()).toEqual(['-p3']);
});

it('gives up what the server sends unasked and the screen does not show', () => {
  const { showing, room, camera, take } = largeRoom(40, 0);
  showing.show(['p1']);
  take();
  camera('p7').isSubscribed = true;
  room.emit(RoomEvent.TrackSubscribed);
  expect(take()).toEqual(['-p7']);
});

it('asks for a camera once it is on', () => {
  const { showing, room, camera, take } = largeRoom(40, 0);
  camera('p5').isMuted = true;
  showing.show(['p5']);
  expect(take()).toEqual([]);
  camera('p5').isMuted = false;
  room.emit(RoomEvent.TrackUnmuted);
  room.emit(RoomEvent.TrackUnmuted);
  expect(take()).toEqual(['+p5']);
});

it('takes everything again when the room has become small', () => {
  const { showing, room, take } = largeRoom(mostUnasked + 1);
  showing.show(['p0']);
  expect(take()).toHaveLength(mostUnasked - 1);
  room.remoteParticipants.delete('p3');
  room.emit(RoomEvent.ParticipantDisconnected);
  const again = take();
  expect(again).toHaveLength(mostUnasked - 2);
  expect(again.every((ask) => ask.startsWith('+'))).toBe(true);
});

it('stops when it is closed', () => {
  const { showing, room, camera, take } = largeRoom(40, 0);
  showing.close();
  camera('p7').isSubscribed = true;
  room.emit(RoomEvent.TrackSubscribed);
  expect(take()).toEqual([]);
});

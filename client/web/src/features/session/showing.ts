import { RoomEvent, Track, type RemoteTrackPublication, type Room } from 'livekit-client';

/** From more cameras on than this a room is large: the server sends no more of them unasked. */
export const mostUnasked = 20;
/** A picture that left the screen is kept for so many milliseconds, for it may come back. */
export const keptFor = 3000;

const events = [
  RoomEvent.Connected,
  RoomEvent.Reconnected,
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.TrackPublished,
  RoomEvent.TrackUnpublished,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
] as const;

/**
 * Asks for the cameras that are on the screen, and gives up the others, in a room
 * with more cameras than a browser can take. In a smaller one everything comes by
 * itself. Sound and shared screens are the server's choice in both.
 */
export class Showing {
  private shown = new Set<string>();
  private readonly leftAt = new Map<string, number>();
  private readonly changed = new Set<RemoteTrackPublication>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly room: Pick<Room, 'on' | 'off' | 'remoteParticipants'>) {
    for (const event of events) room.on(event, this.update);
  }

  /** Stops asking. */
  close(): void {
    clearTimeout(this.timer);
    for (const event of events) this.room.off(event, this.update);
  }

  /** These identities have their picture on the screen now, and nobody else. */
  show(identities: readonly string[]): void {
    const now = Date.now();
    const next = new Set(identities);
    for (const identity of this.shown) if (!next.has(identity)) this.leftAt.set(identity, now);
    for (const identity of next) this.leftAt.delete(identity);
    this.shown = next;
    this.update();
  }

  private readonly update = (): void => {
    clearTimeout(this.timer);
    this.timer = undefined;
    const cameras = this.cameras();
    const living = new Set(cameras.map(({ camera }) => camera));
    for (const camera of this.changed) if (!living.has(camera)) this.changed.delete(camera);
    if (cameras.length <= mostUnasked) {
      // What was given up while the room was large is wanted again.
      for (const camera of this.changed) if (!camera.isDesired) camera.setSubscribed(true);
      this.changed.clear();
      return;
    }
    const now = Date.now();
    let next = Infinity;
    for (const { identity, camera } of cameras) {
      const keepUntil = (this.leftAt.get(identity) ?? -Infinity) + keptFor;
      if (this.shown.has(identity)) {
        // Only a camera that is on needs a place.
        if (!camera.isMuted && !(camera.isSubscribed && camera.isDesired)) this.set(camera, true);
      } else if (keepUntil > now) {
        next = Math.min(next, keepUntil - now);
      } else if (camera.isSubscribed || (this.changed.has(camera) && camera.isDesired)) {
        this.set(camera, false);
      }
    }
    if (next !== Infinity) this.timer = setTimeout(this.update, next);
  };

  /** Asks for a camera or gives it up, once. */
  private set(camera: RemoteTrackPublication, wanted: boolean): void {
    if (this.changed.has(camera) && camera.isDesired === wanted) return;
    this.changed.add(camera);
    camera.setSubscribed(wanted);
  }

  private cameras(): { identity: string; camera: RemoteTrackPublication }[] {
    return [...this.room.remoteParticipants.values()].flatMap((participant) => {
      const camera = participant.getTrackPublication(Track.Source.Camera);
      return camera ? [{ identity: participant.identity, camera }] : [];
    });
  }
}

import type { Room } from 'livekit-client';

declare global {
  interface Window {
    /** The room of this page, on demo servers only: for diagnosis and browser tests. */
    __diemcau?: { room: Room };
  }
}

import type { Track } from 'livekit-client';
import { memo, useEffect, useRef } from 'react';
import type { Sound } from '../../session/roomStore';

/** Plays every remote sound. */
export function Sounds({ sounds }: { sounds: readonly Sound[] }) {
  return sounds.map(({ id, track }) => <SoundPlayer key={id} track={track} />);
}

const SoundPlayer = memo(function SoundPlayer({ track }: { track: Track }) {
  const ref = useRef<HTMLAudioElement>(null);
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    track.attach(element);
    return () => {
      track.detach(element);
    };
  }, [track]);
  return <audio ref={ref} autoPlay data-testid="sound" />;
});

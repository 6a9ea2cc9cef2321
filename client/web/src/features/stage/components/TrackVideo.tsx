import type { Track } from 'livekit-client';
import { useEffect, useRef, useState } from 'react';
import styles from './TrackVideo.module.css';

interface TrackVideoProps {
  track: Pick<Track, 'attach' | 'detach'>;
  mirrored?: boolean;
  /** Show all of it, with bars, instead of filling the space. */
  whole?: boolean;
  label?: string;
  waiting?: string;
  testId?: string;
}

/** A video element with one track on it. Upright pictures (phones) are always shown whole. */
export function TrackVideo({ track, mirrored, whole, label, waiting, testId }: TrackVideoProps) {
  const ref = useRef<HTMLVideoElement>(null);
  const [upright, setUpright] = useState(false);
  const [playing, setPlaying] = useState(false);

  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    track.attach(element);
    return () => {
      track.detach(element);
      setPlaying(false);
    };
  }, [track]);

  return (
    <>
      <video
        ref={ref}
        className={styles.video}
        autoPlay
        playsInline
        muted
        disablePictureInPicture
        aria-label={label}
        data-mirrored={mirrored || undefined}
        data-whole={whole || upright || undefined}
        data-testid={testId}
        onResize={({ currentTarget }) => setUpright(currentTarget.videoWidth < currentTarget.videoHeight)}
        onPlaying={() => setPlaying(true)}
      />
      {waiting && !playing && <p className={styles.waiting}>{waiting}</p>}
    </>
  );
}

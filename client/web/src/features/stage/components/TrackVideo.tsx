import type { Track } from 'livekit-client';
import { useEffect, useRef, useState, type CSSProperties } from 'react';
import { Backdrop } from './Backdrop';
import styles from './TrackVideo.module.css';

interface TrackVideoProps {
  track: Pick<Track, 'attach' | 'detach'>;
  mirrored?: boolean;
  /** Show all of it, with bars, instead of filling the space. */
  whole?: boolean;
  /** Fill what the picture leaves free with its own colours. */
  backdrop?: boolean;
  label?: string;
  waiting?: string;
  testId?: string;
}

/**
 * A video element with one track on it, in a size container. The picture fills
 * the space as far as it may be cut: a lying one down to 60 % of its width, an
 * upright one (phones) down to 80 % of its height.
 */
export function TrackVideo({ track, mirrored, whole, backdrop = false, label, waiting, testId }: TrackVideoProps) {
  const ref = useRef<HTMLVideoElement>(null);
  const [aspect, setAspect] = useState(16 / 9);
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
      {backdrop && playing && <Backdrop video={ref} mirrored={mirrored} />}
      <video
        ref={ref}
        className={styles.video}
        autoPlay
        playsInline
        muted
        disablePictureInPicture
        aria-label={label}
        data-mirrored={mirrored || undefined}
        data-whole={whole || undefined}
        data-upright={aspect < 1 || undefined}
        style={{ '--aspect': aspect } as CSSProperties}
        data-testid={testId}
        onResize={({ currentTarget: { videoWidth, videoHeight } }) => videoHeight > 0 && setAspect(videoWidth / videoHeight)}
        onPlaying={() => setPlaying(true)}
      />
      {waiting && !playing && <p className={styles.waiting}>{waiting}</p>}
    </>
  );
}

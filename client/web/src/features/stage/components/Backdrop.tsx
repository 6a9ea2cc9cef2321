import { useEffect, useRef, type RefObject } from 'react';
import styles from './TrackVideo.module.css';

/** Milliseconds between two looks at the picture. */
const period = 1000;
/** A few dots: stretched over the tile, the browser makes soft colours of them. */
const columns = 8;
const rows = 6;

interface BackdropProps {
  /** The video in front of it. */
  video: RefObject<HTMLVideoElement | null>;
  mirrored?: boolean;
}

/** The colours of a video, rough and once a second, where the video leaves some of its space free. */
export function Backdrop({ video, mirrored }: BackdropProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const paint = () => {
      const source = video.current;
      const target = canvas.current;
      if (!source || !target || document.hidden || source.videoWidth === 0) return;
      if (source.clientHeight >= target.clientHeight - 1 && source.clientWidth >= target.clientWidth - 1) return;
      const context = target.getContext('2d');
      if (!context) return;
      context.imageSmoothingQuality = 'high';
      context.drawImage(source, 0, 0, columns, rows);
    };
    paint();
    const timer = setInterval(paint, period);
    window.addEventListener('resize', paint);
    return () => {
      clearInterval(timer);
      window.removeEventListener('resize', paint);
    };
  }, [video]);
  return (
    <canvas ref={canvas} width={columns} height={rows} className={styles.backdrop} data-mirrored={mirrored || undefined} aria-hidden />
  );
}

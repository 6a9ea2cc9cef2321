import type { LocalAudioTrack } from 'livekit-client';
import { useEffect, useRef, useState, type RefObject } from 'react';

/** Milliseconds between two readings of the meter. */
const interval = 66;
/** From here on the level counts as speech. */
export const heardLevel = 0.3;

/** The level of samples in [-1, 1], as 0 (-60 dBFS or less) to 1 (-10 dBFS or more). */
export function levelOf(samples: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < samples.length; index++) sum += (samples[index] ?? 0) ** 2;
  if (sum === 0) return 0;
  const decibels = 10 * Math.log10(sum / samples.length);
  return Math.min(1, Math.max(0, (decibels + 60) / 50));
}

/**
 * Shows a microphone's level on an element: as `--level` for its looks and
 * `aria-valuenow` for assistive technology, without rendering anything anew.
 * Tells whether speech was heard since the track began.
 */
export function useLevel(track: LocalAudioTrack | undefined): { meter: RefObject<HTMLDivElement | null>; heard: boolean } {
  const meter = useRef<HTMLDivElement>(null);
  const [heard, setHeard] = useState<LocalAudioTrack>();

  useEffect(() => {
    const source = track?.mediaStreamTrack;
    if (!source) return;
    const element = meter.current;
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 1024, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(new MediaStream([source])).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const resume = () => void context.resume();
    resume();
    window.addEventListener('pointerdown', resume);
    let shown = 0;
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const level = levelOf(samples);
      shown = Math.max(level, shown - 0.08); // falls slowly, as meters do
      element?.style.setProperty('--level', shown.toFixed(2));
      element?.setAttribute('aria-valuenow', String(Math.round(shown * 100)));
      if (level > heardLevel) setHeard(track);
    }, interval);
    return () => {
      clearInterval(timer);
      window.removeEventListener('pointerdown', resume);
      element?.style.setProperty('--level', '0');
      void context.close();
    };
  }, [track]);

  return { meter, heard: track !== undefined && heard === track };
}

import { useEffect } from 'react';

/** Keeps the screen on while the page is in view, where the browser can. */
export function useWakeLock(): void {
  useEffect(() => {
    if (!('wakeLock' in navigator)) return;
    let current = true;
    let lock: WakeLockSentinel | undefined;
    const hold = () => {
      if (document.visibilityState !== 'visible') return;
      navigator.wakeLock.request('screen').then(
        (granted) => {
          if (current) lock = granted;
          else void granted.release();
        },
        () => undefined, // Refused (battery saver): the screen goes dark as usual.
      );
    };
    hold();
    document.addEventListener('visibilitychange', hold);
    return () => {
      current = false;
      document.removeEventListener('visibilitychange', hold);
      void lock?.release();
    };
  }, []);
}

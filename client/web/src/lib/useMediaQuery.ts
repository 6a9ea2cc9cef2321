import { useCallback, useSyncExternalStore } from 'react';

/** Whether the CSS media query matches, kept up to date. */
export function useMediaQuery(query: string): boolean {
  const subscribe = useCallback(
    (listener: () => void) => {
      const media = window.matchMedia(query);
      media.addEventListener('change', listener);
      return () => media.removeEventListener('change', listener);
    },
    [query],
  );
  return useSyncExternalStore(subscribe, () => window.matchMedia(query).matches);
}

/** Phones: narrow, or turned on their side and low. The same condition stands in the CSS modules. */
export const phoneQuery = '(max-width: 719px), (max-height: 479px)';

import { useSyncExternalStore } from 'react';

/** The pages there are. `name` is a display name given in the address. */
export type Route = { page: 'lobby'; room: string; name: string } | { page: 'room'; room: string; name: string };

/** Reads the page out of an address: `/?room=…&name=…` and `/r/<room>?name=…`. Unknown paths are the lobby. */
export function parseRoute(pathname: string, search: string): Route {
  const query = new URLSearchParams(search);
  const name = (query.get('name') ?? '').normalize('NFC').trim();
  const match = /^\/r\/([^/]+)\/?$/.exec(pathname);
  if (match?.[1]) {
    try {
      return { page: 'room', room: decodeURIComponent(match[1]), name };
    } catch {
      // A broken percent escape: ask for the room again.
    }
  }
  return { page: 'lobby', room: query.get('room') ?? '', name };
}

export function roomPath(room: string): string {
  return `/r/${encodeURIComponent(room)}`;
}

/** Goes to a path of ours, keeping the test switch `pc` of the address. */
export function navigate(path: string, replace = false): void {
  const pc = new URLSearchParams(location.search).get('pc');
  const url = new URL(path, location.origin);
  if (pc) url.searchParams.set('pc', pc);
  if (replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  window.dispatchEvent(new PopStateEvent('popstate'));
  window.scrollTo(0, 0);
}

function subscribe(listener: () => void): () => void {
  window.addEventListener('popstate', listener);
  return () => window.removeEventListener('popstate', listener);
}

export function useRoute(): Route {
  const href = useSyncExternalStore(subscribe, () => location.pathname + location.search);
  const url = new URL(href, location.origin);
  return parseRoute(url.pathname, url.search);
}

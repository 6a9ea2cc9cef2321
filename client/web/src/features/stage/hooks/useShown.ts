import { useEffect } from 'react';
import type { Showing } from '../../session/showing';
import type { Shown } from '../layout/arrange';

/** Tells the session whose cameras are on the screen. */
export function useShown(showing: Pick<Showing, 'show'>, pictures: readonly (Shown | undefined)[]): void {
  const identities = pictures.flatMap((shown) => (shown?.source === 'camera' && !shown.person.isLocal ? [shown.person.identity] : []));
  const key = JSON.stringify(identities);
  useEffect(() => showing.show(JSON.parse(key) as string[]), [showing, key]);
}

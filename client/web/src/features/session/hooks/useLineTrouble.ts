import type { Room } from 'livekit-client';
import { useEffect, useState } from 'react';
import { lineTrouble, measureLine, type LineCounters, type LineTrouble } from '../lineTrouble';

/** Milliseconds between two readings. */
const period = 3000;

/** Why the line is weak, measured only while `wanted`. Undefined until two readings show a cause. */
export function useLineTrouble(room: Room, wanted: boolean): LineTrouble | undefined {
  const [trouble, setTrouble] = useState<LineTrouble>();
  useEffect(() => {
    if (!wanted) return;
    let current = true;
    let before: LineCounters | undefined;
    const measure = async () => {
      const now = await measureLine(room);
      if (!current) return;
      if (before) setTrouble(lineTrouble(before, now));
      before = now;
    };
    void measure();
    const timer = setInterval(() => void measure(), period);
    return () => {
      current = false;
      clearInterval(timer);
      setTrouble(undefined);
    };
  }, [room, wanted]);
  return trouble;
}

import { useEffect, useState } from 'react';

const format = new Intl.DateTimeFormat('vi-VN', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

/** A time of day as "09:05", always 24-hour, in the machine's time zone. */
export function clockTime(at: number): string {
  return format.format(at);
}

/** The time of day, following the clock minute by minute. */
export function useClock(): string {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setTimeout(() => setNow(Date.now()), 60_000 - (now % 60_000) + 20);
    return () => clearTimeout(timer);
  }, [now]);
  return clockTime(now);
}

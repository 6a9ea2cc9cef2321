import { useState } from 'react';

/** Runs one task per key at a time and tells which keys have one running. */
export function usePending<K>(): { pending: ReadonlySet<K>; run: (key: K, task: () => Promise<void>) => void } {
  const [pending, setPending] = useState<ReadonlySet<K>>(new Set());
  const run = (key: K, task: () => Promise<void>) => {
    if (pending.has(key)) return;
    setPending((before) => new Set(before).add(key));
    void task().finally(() =>
      setPending((before) => {
        const after = new Set(before);
        after.delete(key);
        return after;
      }),
    );
  };
  return { pending, run };
}

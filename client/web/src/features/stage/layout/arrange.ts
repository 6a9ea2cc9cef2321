import type { Person } from '../../session/person';

/** One picture on the stage: a person's camera (or name card) or screen. */
export interface Shown {
  /** `<identity>/<source>`, unique on the stage. */
  key: string;
  person: Person;
  source: 'camera' | 'screen';
}

export interface Arrangement {
  main: Shown | undefined;
  side: readonly Shown[];
  /** How many people are not on the stage. */
  hidden: number;
}

interface Wish {
  speaker: string | undefined;
  /** Key of the picture that the viewer pinned. */
  pinned: string | undefined;
  /** Most pictures along the side. */
  limit: number;
}

const camera = (person: Person): Shown => ({ key: `${person.identity}/camera`, person, source: 'camera' });
const screen = (person: Person): Shown => ({ key: `${person.identity}/screen`, person, source: 'screen' });

/** Every picture there is: others' screens first, then everybody in the given order. One's own screen is not shown back. */
export function pictures(people: readonly Person[]): Shown[] {
  return [...people.filter((person) => person.screenOn && !person.isLocal).map(screen), ...people.map(camera)];
}

/**
 * Chooses the large picture — pinned, else a shared screen, else who speaks,
 * else the first of the others, else oneself — and those along the side. The
 * side keeps the order of joining, so that nobody jumps about; only when not
 * all have room do those who spoke last come in for the others.
 */
export function arrange(people: readonly Person[], { speaker, pinned, limit }: Wish): Arrangement {
  const all = pictures(people);
  const others = all.filter((shown) => !shown.person.isLocal);
  const main =
    all.find((shown) => shown.key === pinned) ??
    others.find((shown) => shown.source === 'screen') ??
    others.find((shown) => shown.person.identity === speaker) ??
    others.find((shown) => shown.person.cameraOn) ??
    others[0] ??
    all[0];
  const rest = all.filter((shown) => shown.key !== main?.key);
  if (rest.length <= limit) return { main, side: rest, hidden: 0 };

  const urgency = (shown: Shown) => {
    if (shown.person.isLocal || shown.source === 'screen') return Infinity;
    if (shown.person.identity === speaker) return Number.MAX_SAFE_INTEGER;
    return shown.person.lastSpokeAt + (shown.person.cameraOn ? 0.5 : 0);
  };
  const order = new Map(rest.map((shown, index) => [shown.key, index]));
  const place = (shown: Shown) => order.get(shown.key) ?? 0;
  const chosen = [...rest].sort((a, b) => compare(urgency(b), urgency(a)) || place(a) - place(b)).slice(0, limit);
  chosen.sort((a, b) => place(a) - place(b));
  const onStage = new Set([main, ...chosen].map((shown) => shown?.person.identity));
  return { main, side: chosen, hidden: people.filter((person) => !onStage.has(person.identity)).length };
}

/** Like a subtraction, also for two infinities. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

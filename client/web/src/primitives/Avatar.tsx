import { initials } from '../lib/names';
import styles from './Avatar.module.css';

const tints = 6;

function tint(identity: string): number {
  let sum = 0;
  for (const char of identity) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 9973;
  return sum % tints;
}

/** Initials on a quiet tint that stays the same for one identity. Scales with its font size. */
export function Avatar({ name, identity }: { name: string; identity: string }) {
  return (
    <span className={`${styles.avatar} ${styles[`tint${tint(identity)}`]}`} aria-hidden>
      {initials(name)}
    </span>
  );
}

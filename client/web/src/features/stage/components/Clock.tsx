import { useClock } from '../../../lib/clock';
import styles from './Clock.module.css';

/** The time of day. */
export function Clock() {
  return <time className={styles.clock}>{useClock()}</time>;
}

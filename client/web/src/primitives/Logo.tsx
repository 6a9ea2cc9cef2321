import styles from './Logo.module.css';

/** The product's mark: two points joined by a bridge. */
export function Logo({ size = 36 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden className={styles.logo}>
      <rect width="32" height="32" rx="8" className={styles.plate} />
      <path d="M7 20a9 9 0 0 1 18 0" fill="none" stroke="#fff" strokeWidth="2.4" strokeLinecap="round" />
      <circle cx="7" cy="20.5" r="3" fill="#fff" />
      <circle cx="25" cy="20.5" r="3" fill="#fff" />
      <circle cx="16" cy="11" r="2.2" fill="#ffd45e" />
    </svg>
  );
}

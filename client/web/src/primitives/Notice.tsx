import { CircleCheck, Info, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import styles from './Notice.module.css';

interface NoticeProps {
  tone: 'info' | 'ok' | 'warn' | 'bad';
  children: ReactNode;
  action?: ReactNode;
  testId?: string;
}

const icons = { info: Info, ok: CircleCheck, warn: TriangleAlert, bad: TriangleAlert };

/** A message in words, with an icon so that its colour is not its only meaning. */
export function Notice({ tone, children, action, testId }: NoticeProps) {
  const Icon = icons[tone];
  return (
    <div className={`${styles.notice} ${styles[tone]}`} role={tone === 'bad' || tone === 'warn' ? 'alert' : 'status'} data-testid={testId}>
      <Icon size={20} aria-hidden className={styles.icon} />
      <div className={styles.text}>{children}</div>
      {action}
    </div>
  );
}

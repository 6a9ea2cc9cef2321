import type { LucideIcon } from 'lucide-react';
import { Button, type ButtonProps } from 'react-aria-components';
import styles from './ControlButton.module.css';

interface ControlButtonProps extends Omit<ButtonProps, 'children' | 'className' | 'style'> {
  icon: LucideIcon;
  label: string;
  /** off: a source that is off; open: its panel is in view; leave: ends the stay. */
  look?: 'plain' | 'off' | 'open' | 'leave';
  /** A number to notice; with `quiet`, one that is only good to know. */
  badge?: number;
  quiet?: boolean;
  badgeLabel?: string;
  badgeTestId?: string;
}

/** A control under the pictures: icon over a word that says what a press does. */
export function ControlButton({
  icon: Icon,
  label,
  look = 'plain',
  badge = 0,
  quiet,
  badgeLabel,
  badgeTestId,
  ...rest
}: ControlButtonProps) {
  return (
    <Button
      {...rest}
      className={`${styles.control} ${styles[look]}`}
      aria-label={badge > 0 && badgeLabel ? `${label}, ${badgeLabel}` : undefined}
    >
      <span className={styles.icon}>
        <Icon size={24} aria-hidden />
        {badge > 0 && (
          <span className={styles.badge} data-quiet={quiet || undefined} data-testid={badgeTestId}>
            {badge > 99 ? '99+' : badge}
          </span>
        )}
      </span>
      <span className={styles.label}>{label}</span>
    </Button>
  );
}

import type { LucideIcon } from 'lucide-react';
import { useTranslation } from 'react-i18next';
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
  /** For a switch: whether its source is on, and the words for that. Screen readers hear the state, then the label. */
  on?: boolean;
  state?: string;
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
  on,
  state,
  ...rest
}: ControlButtonProps) {
  const { t } = useTranslation();
  const spoken = state ? t('controls.stateAndAction', { state, action: label }) : undefined;
  return (
    <Button
      {...rest}
      className={`${styles.control} ${styles[look]}`}
      aria-label={badge > 0 && badgeLabel ? `${label}, ${badgeLabel}` : spoken}
      aria-pressed={on}
      data-on={on}
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

import type { ReactNode } from 'react';
import { Button as AriaButton, type ButtonProps as AriaButtonProps } from 'react-aria-components';
import styles from './Button.module.css';

interface ButtonProps extends Omit<AriaButtonProps, 'children' | 'className' | 'style'> {
  variant?: 'primary' | 'secondary' | 'quiet' | 'bad';
  size?: 'm' | 'l';
  icon?: ReactNode;
  wide?: boolean;
  children: ReactNode;
}

/** A button with words. One primary button per screen. */
export function Button({ variant = 'secondary', size = 'm', icon, wide, children, ...rest }: ButtonProps) {
  const classes = [styles.button, styles[variant], styles[size], wide && styles.wide].filter(Boolean).join(' ');
  return (
    <AriaButton {...rest} className={classes}>
      {icon && <span className={styles.icon}>{icon}</span>}
      <span>{children}</span>
    </AriaButton>
  );
}

import type { ReactNode } from 'react';
import { Button as AriaButton, type ButtonProps as AriaButtonProps } from 'react-aria-components';
import styles from './IconButton.module.css';

interface IconButtonProps extends Omit<AriaButtonProps, 'children' | 'className' | 'style' | 'aria-label'> {
  label: string;
  icon: ReactNode;
  tone?: 'paper' | 'stage';
}

/** A square button with an icon only; its label is for screen readers. */
export function IconButton({ label, icon, tone = 'paper', ...rest }: IconButtonProps) {
  return (
    <AriaButton {...rest} aria-label={label} className={`${styles.button} ${styles[tone]}`}>
      {icon}
    </AriaButton>
  );
}

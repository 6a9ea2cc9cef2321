import { Check, ChevronDown } from 'lucide-react';
import type { ReactNode } from 'react';
import { Button, Label, ListBox, ListBoxItem, Popover, Select as AriaSelect, SelectValue } from 'react-aria-components';
import styles from './Field.module.css';

interface SelectProps {
  label: string;
  icon?: ReactNode;
  value: string;
  options: readonly { id: string; label: string }[];
  onChange: (id: string) => void;
  isDisabled?: boolean;
  placeholder?: string;
  hideLabel?: boolean;
  testId?: string;
}

/** One choice out of a short list. */
export function Select({ label, icon, value, options, onChange, isDisabled, placeholder, hideLabel, testId }: SelectProps) {
  return (
    <AriaSelect
      className={styles.field}
      value={options.some((option) => option.id === value) ? value : null}
      onChange={(key) => {
        if (key !== null) onChange(String(key));
      }}
      isDisabled={isDisabled}
      placeholder={placeholder ?? ''}
      data-testid={testId}
    >
      <Label className={hideLabel ? 'visually-hidden' : styles.label}>{label}</Label>
      <Button className={styles.select}>
        {icon && <span className={styles.selectIcon}>{icon}</span>}
        <SelectValue className={styles.selectValue}>{({ defaultChildren, selectedText }) => selectedText || defaultChildren}</SelectValue>
        <ChevronDown size={18} className={styles.selectIcon} aria-hidden />
      </Button>
      <Popover className={styles.popover}>
        <ListBox items={options}>
          {(option) => (
            <ListBoxItem id={option.id} textValue={option.label} className={styles.option}>
              {({ isSelected }) => (
                <>
                  <span className={styles.optionCheck}>{isSelected && <Check size={18} aria-hidden />}</span>
                  {option.label}
                </>
              )}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </AriaSelect>
  );
}

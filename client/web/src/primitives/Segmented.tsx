import { Label, Radio, RadioGroup } from 'react-aria-components';
import styles from './Segmented.module.css';

interface SegmentedProps<T extends string> {
  label: string;
  hideLabel?: boolean;
  /** Without the frame, for head lines. */
  compact?: boolean;
  value: T;
  options: readonly { id: T; label: string; lang?: string }[];
  onChange: (id: T) => void;
  testId?: string;
}

/** One of two to four choices, all in view. Options carry data-testid `<testId>-<id>`. */
export function Segmented<T extends string>({ label, hideLabel, compact, value, options, onChange, testId }: SegmentedProps<T>) {
  return (
    <RadioGroup
      className={styles.group}
      orientation="horizontal"
      value={value}
      onChange={(next) => {
        const option = options.find((known) => known.id === next);
        if (option) onChange(option.id);
      }}
      data-testid={testId}
    >
      <Label className={hideLabel ? 'visually-hidden' : styles.label}>{label}</Label>
      <div className={`${styles.track} ${compact ? styles.compact : ''}`}>
        {options.map((option) => (
          <Radio
            key={option.id}
            value={option.id}
            className={styles.option}
            lang={option.lang}
            data-testid={testId && `${testId}-${option.id}`}
          >
            {option.label}
          </Radio>
        ))}
      </div>
    </RadioGroup>
  );
}

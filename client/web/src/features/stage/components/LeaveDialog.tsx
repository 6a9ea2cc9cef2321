import { useTranslation } from 'react-i18next';
import { Button } from '../../../primitives/Button';
import { Dialog } from '../../../primitives/Dialog';
import { testIds } from '../../../testids';
import styles from './LeaveDialog.module.css';

interface LeaveDialogProps {
  isOpen: boolean;
  onStay: () => void;
  onLeave: () => void;
}

export function LeaveDialog({ isOpen, onStay, onLeave }: LeaveDialogProps) {
  const { t } = useTranslation();
  return (
    <Dialog title={t('leave.title')} isOpen={isOpen} onClose={onStay} question>
      <p className={styles.body}>{t('leave.body')}</p>
      <div className={styles.actions}>
        <Button onPress={onStay} data-testid={testIds.leaveCancel}>
          {t('leave.stay')}
        </Button>
        <Button variant="bad" onPress={onLeave} autoFocus data-testid={testIds.leaveConfirm}>
          {t('leave.confirm')}
        </Button>
      </div>
    </Dialog>
  );
}

import { X } from 'lucide-react';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Dialog as AriaDialog, Heading, Modal, ModalOverlay } from 'react-aria-components';
import { IconButton } from './IconButton';
import styles from './Dialog.module.css';

interface DialogProps {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  children: ReactNode;
  /** A question asks to be answered: no cross, role alertdialog. */
  question?: boolean;
  testId?: string;
  closeTestId?: string;
}

/** A modal dialog that keeps the focus inside and closes by Esc; on phones it is a sheet at the foot. */
export function Dialog({ title, isOpen, onClose, children, question, testId, closeTestId }: DialogProps) {
  const { t } = useTranslation();
  return (
    <ModalOverlay
      className={styles.overlay}
      isOpen={isOpen}
      isDismissable
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
    >
      <Modal className={`${styles.modal} ${question ? styles.narrow : ''}`}>
        <AriaDialog className={styles.dialog} role={question ? 'alertdialog' : 'dialog'} data-testid={testId}>
          <header className={styles.header}>
            <Heading slot="title" className={styles.title}>
              {title}
            </Heading>
            {!question && (
              <IconButton label={t('app.close')} icon={<X size={22} aria-hidden />} onPress={onClose} data-testid={closeTestId} />
            )}
          </header>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}

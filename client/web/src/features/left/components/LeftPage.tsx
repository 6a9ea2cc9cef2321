import { useTranslation } from 'react-i18next';
import { PaperPage } from '../../../app/PaperPage';
import { navigate } from '../../../app/route';
import { Button } from '../../../primitives/Button';
import { testIds } from '../../../testids';
import type { EndReason } from '../../session/meetingSession';
import styles from './LeftPage.module.css';

interface LeftPageProps {
  title: string;
  reason: EndReason;
  onRejoin: () => void;
}

/** After the meeting: why it ended for this person, and the way back. */
export function LeftPage({ title, reason, onRejoin }: LeftPageProps) {
  const { t } = useTranslation();
  const words = {
    left: [t('left.title'), t('left.body')],
    duplicate: [t('left.duplicateTitle'), t('left.duplicateBody')],
    removed: [t('left.removedTitle'), t('left.removedBody')],
    closed: [t('left.closedTitle'), t('left.closedBody')],
    shutdown: [t('left.shutdownTitle'), t('left.shutdownBody')],
    lost: [t('left.lostTitle'), t('left.lostBody')],
  } as const;
  const [heading, body] = words[reason];
  return (
    <PaperPage narrow testId={testIds.left}>
      <section className={styles.card} data-reason={reason}>
        <p className={styles.room}>{title}</p>
        <h1 className={styles.title} tabIndex={-1} ref={focusOnce}>
          {heading}
        </h1>
        <p className={styles.body}>{body}</p>
        <div className={styles.actions}>
          <Button variant="primary" size="l" onPress={onRejoin} data-testid={testIds.rejoin}>
            {t('left.rejoin')}
          </Button>
          <Button size="l" onPress={() => navigate('/')}>
            {t('left.home')}
          </Button>
        </div>
      </section>
    </PaperPage>
  );
}

/** The page replaced another: screen readers start at its heading. */
function focusOnce(element: HTMLElement | null): void {
  element?.focus();
}

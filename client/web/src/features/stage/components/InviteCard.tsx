import { Check, Copy } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Button } from '../../../primitives/Button';
import styles from './InviteCard.module.css';

const said = { ready: 'stage.aloneBody', copied: 'stage.linkCopied', failed: 'stage.copyFailed' } as const;

/** For whoever is alone in the room: how to bring in the others. */
export function InviteCard() {
  const { t } = useTranslation();
  const [state, setState] = useState<'ready' | 'copied' | 'failed'>('ready');
  const link = location.origin + location.pathname;
  const copy = () => {
    // Not there on unsafe addresses.
    const copying = navigator.clipboard ? navigator.clipboard.writeText(link) : Promise.reject(new Error('no clipboard'));
    copying.then(
      () => setState('copied'),
      () => setState('failed'),
    );
  };
  return (
    <section className={styles.card}>
      <h2 className={styles.title}>{t('stage.aloneTitle')}</h2>
      <p className={styles.body} role="status">
        {t(said[state])}
      </p>
      <p className={styles.link}>{link}</p>
      <Button variant="primary" icon={state === 'copied' ? <Check size={18} aria-hidden /> : <Copy size={18} aria-hidden />} onPress={copy}>
        {t('stage.copyLink')}
      </Button>
    </section>
  );
}

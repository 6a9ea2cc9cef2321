import { useTranslation } from 'react-i18next';
import { setPreferences, usePreferences } from '../../../lib/preferences';
import { Dialog } from '../../../primitives/Dialog';
import { Segmented } from '../../../primitives/Segmented';
import { testIds } from '../../../testids';
import { DevicePickers } from '../../greenroom/components/DevicePickers';
import type { MeetingSession } from '../../session/meetingSession';
import styles from './SettingsDialog.module.css';

interface SettingsDialogProps {
  session: MeetingSession;
  isOpen: boolean;
  onClose: () => void;
}

/** Devices, language, appearance, and the keys there are. Every change holds at once. */
export function SettingsDialog({ session, isOpen, onClose }: SettingsDialogProps) {
  const { t } = useTranslation();
  const preferences = usePreferences();
  return (
    <Dialog title={t('settings.title')} isOpen={isOpen} onClose={onClose} testId={testIds.settings} closeTestId={testIds.settingsClose}>
      <div className={styles.sections}>
        <section className={styles.section} aria-label={t('settings.devices')}>
          <DevicePickers {...preferences} onChange={(kind, id) => void session.useDevice(kind, id)} />
        </section>
        <section className={styles.pair}>
          <Segmented
            label={t('settings.language')}
            value={preferences.language}
            options={[
              { id: 'vi', label: 'Tiếng Việt', lang: 'vi' },
              { id: 'en', label: 'English', lang: 'en' },
            ]}
            onChange={(language) => setPreferences({ language })}
            testId={testIds.language}
          />
          <Segmented
            label={t('settings.theme')}
            value={preferences.theme}
            options={[
              { id: 'system', label: t('settings.themeSystem') },
              { id: 'light', label: t('settings.themeLight') },
              { id: 'dark', label: t('settings.themeDark') },
            ]}
            onChange={(theme) => setPreferences({ theme })}
            testId={testIds.theme}
          />
        </section>
        <section className={styles.keys} aria-label={t('settings.shortcuts')}>
          <h3 className={styles.heading}>{t('settings.shortcuts')}</h3>
          <dl>
            <Key name="M" does={t('settings.shortcutMic')} />
            <Key name="V" does={t('settings.shortcutCamera')} />
            <Key name="Esc" does={t('settings.shortcutClose')} />
          </dl>
        </section>
      </div>
    </Dialog>
  );
}

function Key({ name, does }: { name: string; does: string }) {
  return (
    <div className={styles.key}>
      <dt>
        <kbd>{name}</kbd>
      </dt>
      <dd>{does}</dd>
    </div>
  );
}

import { Moon, Sun } from 'lucide-react';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { setPreferences, usePreferences } from '../lib/preferences';
import { IconButton } from '../primitives/IconButton';
import { Logo } from '../primitives/Logo';
import { Segmented } from '../primitives/Segmented';
import { testIds } from '../testids';
import styles from './PaperPage.module.css';

interface PaperPageProps {
  children: ReactNode;
  narrow?: boolean;
  testId?: string;
}

/** A light page with the product's head line: everything that is not the stage. */
export function PaperPage({ children, narrow, testId }: PaperPageProps) {
  const { t } = useTranslation();
  const { language, theme } = usePreferences();
  const dark = theme === 'dark' || (theme === 'system' && document.documentElement.dataset.theme === 'dark');
  return (
    <div className={styles.page} data-testid={testId}>
      <header className={styles.header}>
        <Logo />
        <p className={styles.brand}>
          <strong>{t('app.name')}</strong>
          <span>{t('app.tagline')}</span>
        </p>
        <IconButton
          label={`${t('settings.theme')}: ${dark ? t('settings.themeLight') : t('settings.themeDark')}`}
          icon={dark ? <Sun size={20} aria-hidden /> : <Moon size={20} aria-hidden />}
          onPress={() => setPreferences({ theme: dark ? 'light' : 'dark' })}
          data-testid={testIds.theme}
        />
        <Segmented
          label={t('settings.language')}
          hideLabel
          compact
          value={language}
          options={[
            { id: 'vi', label: 'VI', lang: 'vi' },
            { id: 'en', label: 'EN', lang: 'en' },
          ]}
          onChange={(next) => setPreferences({ language: next })}
          testId={testIds.language}
        />
      </header>
      <main className={`${styles.main} ${narrow ? styles.narrow : ''}`}>{children}</main>
    </div>
  );
}

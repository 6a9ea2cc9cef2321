import { lazy, Suspense, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { I18nProvider } from 'react-aria-components';
import { Lobby } from '../features/lobby/components/Lobby';
import { fetchConfig, type ServerConfig } from '../features/session/api/server';
import { setLanguage } from '../i18n';
import { applyTheme, usePreferences } from '../lib/preferences';
import { Button } from '../primitives/Button';
import { Notice } from '../primitives/Notice';
import { PaperPage } from './PaperPage';
import { useRoute } from './route';

const loadRoomPage = () => import('../features/room/components/RoomPage');

/** The media library comes with this page: the lobby is there without it, and fetches it while names are typed. */
const RoomPage = lazy(async () => ({ default: (await loadRoomPage()).RoomPage }));

/** Chooses the page by the address, and keeps language and theme as preferred. */
export function App() {
  const { language, theme } = usePreferences();
  const route = useRoute();
  const server = useServerConfig();
  useEffect(() => setLanguage(language), [language]);
  useEffect(() => applyTheme(theme), [theme]);
  useEffect(() => {
    // If it fails now it is tried again when the page is opened.
    loadRoomPage().catch(() => undefined);
  }, []);

  return (
    <I18nProvider locale={language === 'vi' ? 'vi-VN' : 'en-GB'}>
      {server.config === undefined ? (
        <Opening failed={server.failed} onRetry={server.retry} />
      ) : route.page === 'room' ? (
        <Suspense fallback={<Opening failed={false} onRetry={server.retry} />}>
          <RoomPage key={route.room} room={route.room} name={route.name} config={server.config} />
        </Suspense>
      ) : (
        <Lobby room={route.room} name={route.name} config={server.config} />
      )}
    </I18nProvider>
  );
}

function Opening({ failed, onRetry }: { failed: boolean; onRetry: () => void }) {
  const { t } = useTranslation();
  return (
    <PaperPage narrow>
      {failed ? (
        <Notice tone="bad" action={<Button onPress={onRetry}>{t('app.retry')}</Button>}>
          {t('error.config')}
        </Notice>
      ) : (
        <p role="status">{t('app.loading')}</p>
      )}
    </PaperPage>
  );
}

function useServerConfig(): { config: ServerConfig | undefined; failed: boolean; retry: () => void } {
  const [config, setConfig] = useState<ServerConfig>();
  const [failed, setFailed] = useState(false);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let current = true;
    fetchConfig().then(
      (answer) => current && setConfig(answer),
      () => current && setFailed(true),
    );
    return () => {
      current = false;
    };
  }, [attempt]);
  const retry = () => {
    setFailed(false);
    setAttempt((count) => count + 1);
  };
  return { config, failed, retry };
}

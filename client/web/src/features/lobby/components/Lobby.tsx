import { useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { Button as AriaButton } from 'react-aria-components';
import { PaperPage } from '../../../app/PaperPage';
import { navigate, roomPath } from '../../../app/route';
import { getPreferences, setPreferences } from '../../../lib/preferences';
import { maxName, maxRoomCode, roomCode } from '../../../lib/roomCode';
import { Button } from '../../../primitives/Button';
import { TextField } from '../../../primitives/TextField';
import { testIds } from '../../../testids';
import { invitationToken, readToken } from '../../session/api/token';
import type { ServerConfig } from '../../session/api/server';
import styles from './Lobby.module.css';

const suggestions = ['hop-giao-ban', 'hop-uy-ban', 'tap-huan'] as const;

interface LobbyProps {
  room: string;
  name: string;
  config: ServerConfig;
}

/** The first page: who, and which room. */
export function Lobby({ room: askedRoom, name: askedName, config }: LobbyProps) {
  const { t } = useTranslation();
  const invited = readToken(invitationToken() ?? '');
  const [name, setName] = useState(askedName || invited?.name || getPreferences().name);
  const [room, setRoom] = useState(askedRoom || invited?.room || '');
  const [tried, setTried] = useState(false);
  const code = roomCode(room);

  if (!config.demo && !invited) {
    return (
      <PaperPage narrow testId={testIds.lobby}>
        <section className={styles.card}>
          <h1 className={styles.title}>{t('lobby.closedTitle')}</h1>
          <p className={styles.intro}>{t('lobby.closedBody')}</p>
        </section>
      </PaperPage>
    );
  }

  const nameError =
    name.trim() === '' ? t('lobby.nameMissing') : name.trim().length > maxName ? t('lobby.nameTooLong', { max: maxName }) : '';
  const roomError = code === '' ? t('lobby.roomMissing') : code.length > maxRoomCode ? t('lobby.roomTooLong', { max: maxRoomCode }) : '';

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (nameError || roomError) return;
    setPreferences({ name: name.normalize('NFC').trim() });
    navigate(roomPath(code) + location.hash);
  };

  return (
    <PaperPage narrow testId={testIds.lobby}>
      <form className={styles.card} onSubmit={submit} noValidate>
        <div className={styles.head}>
          <h1 className={styles.title}>{t('lobby.title')}</h1>
          <p className={styles.intro}>{t('lobby.intro')}</p>
        </div>
        <TextField
          label={t('lobby.name')}
          help={t('lobby.nameHelp')}
          error={tried ? nameError : ''}
          placeholder={t('lobby.namePlaceholder')}
          value={name}
          onChange={setName}
          autoComplete="name"
          autoCapitalize="words"
          inputTestId={testIds.lobbyName}
        />
        <div className={styles.room}>
          <TextField
            label={t('lobby.room')}
            help={code ? t('lobby.roomCode', { code }) : t('lobby.roomHelp')}
            error={tried ? roomError : ''}
            placeholder={t('lobby.roomPlaceholder')}
            value={room}
            onChange={setRoom}
            autoComplete="off"
            inputTestId={testIds.lobbyRoom}
          />
          <div className={styles.suggestions} role="group" aria-label={t('lobby.suggestions')}>
            {suggestions.map((id) => (
              <AriaButton
                key={id}
                className={styles.suggestion}
                onPress={() => setRoom(id)}
                data-chosen={code === id || undefined}
                aria-pressed={code === id}
              >
                {t(`rooms.${id}`)}
              </AriaButton>
            ))}
          </div>
        </div>
        <Button variant="primary" size="l" type="submit" wide data-testid={testIds.lobbyContinue}>
          {t('lobby.continue')}
        </Button>
        {config.demo && <p className={styles.note}>{t('lobby.demoNote')}</p>}
      </form>
    </PaperPage>
  );
}

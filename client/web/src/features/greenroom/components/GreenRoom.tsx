import { ArrowLeft, Mic, MicOff, Video, VideoOff, Volume2 } from 'lucide-react';
import { useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { ToggleButton } from 'react-aria-components';
import { PaperPage } from '../../../app/PaperPage';
import { navigate } from '../../../app/route';
import { setPreferences, usePreferences } from '../../../lib/preferences';
import { maxName } from '../../../lib/roomCode';
import { Avatar } from '../../../primitives/Avatar';
import { Button } from '../../../primitives/Button';
import { Notice } from '../../../primitives/Notice';
import { TextField } from '../../../primitives/TextField';
import { testIds } from '../../../testids';
import type { MediaProblem } from '../../session/mediaProblem';
import { TrackVideo } from '../../stage/components/TrackVideo';
import { useRoomTitle } from '../../room/useRoomTitle';
import { useCameraPreview, useMicPreview, type Preview } from '../hooks/usePreview';
import { useLevel } from '../hooks/useLevel';
import { playSpeakerTest } from '../speakerTest';
import { DevicePickers } from './DevicePickers';
import styles from './GreenRoom.module.css';

interface GreenRoomProps {
  room: string;
  name: string;
  /** An invitation says who one is: the name then cannot be changed. */
  nameFixed: boolean;
  joining: boolean;
  error: string;
  onJoin: (name: string) => void;
}

/** Before the meeting: see and hear oneself, choose devices, then join. */
export function GreenRoom({ room, name: givenName, nameFixed, joining, error, onJoin }: GreenRoomProps) {
  const { t } = useTranslation();
  const title = useRoomTitle(room);
  const preferences = usePreferences();
  const [name, setName] = useState(givenName);
  const [tried, setTried] = useState(false);
  const camera = useCameraPreview(preferences.cameraOn, preferences.cameraId);
  const mic = useMicPreview(preferences.micOn, preferences.micId);
  const trimmed = name.normalize('NFC').trim();
  const nameError = trimmed === '' ? t('lobby.nameMissing') : trimmed.length > maxName ? t('lobby.nameTooLong', { max: maxName }) : '';

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!nameError && !joining) onJoin(trimmed);
  };
  const changeDevice = (kind: MediaDeviceKind, id: string) => {
    const field = { audioinput: 'micId', videoinput: 'cameraId', audiooutput: 'speakerId' } as const;
    setPreferences({ [field[kind]]: id });
  };

  return (
    <PaperPage testId={testIds.greenRoom}>
      <form className={styles.layout} onSubmit={submit} noValidate>
        <section className={styles.preview} aria-label={t('green.title')}>
          <div className={styles.picture}>
            {camera.track ? (
              <TrackVideo track={camera.track} mirrored label={t('green.previewAlt')} testId={testIds.previewVideo} />
            ) : (
              <div className={styles.noPicture}>
                <Avatar name={trimmed} identity={trimmed} />
                <p>{camera.starting ? t('green.previewStarting') : camera.problem ? '' : t('green.previewOff')}</p>
              </div>
            )}
            <div className={styles.toggles}>
              <Toggle kind="mic" on={preferences.micOn} problem={mic.problem} />
              <Toggle kind="camera" on={preferences.cameraOn} problem={camera.problem} />
            </div>
          </div>
          <Level preview={mic} on={preferences.micOn} />
          <Problem preview={mic} />
          <Problem preview={camera} />
        </section>

        <section className={styles.side}>
          <div>
            <p className={styles.overline}>{t('green.joinTo')}</p>
            <h1 className={styles.title}>{title}</h1>
          </div>
          <TextField
            label={t('lobby.name')}
            error={tried ? nameError : ''}
            placeholder={t('lobby.namePlaceholder')}
            value={name}
            onChange={setName}
            isReadOnly={nameFixed}
            autoComplete="name"
            autoCapitalize="words"
            inputTestId={testIds.greenName}
          />
          <div className={styles.join}>
            {error && (
              <Notice tone="bad" testId={testIds.joinError}>
                {error}
              </Notice>
            )}
            <Button variant="primary" size="l" type="submit" wide data-busy={joining || undefined} data-testid={testIds.join}>
              {joining ? t('green.joining') : t('green.join')}
            </Button>
          </div>
          <div className={styles.devices}>
            <DevicePickers
              {...preferences}
              onChange={changeDevice}
              refresh={`${camera.track?.sid}${Boolean(camera.track)}${Boolean(mic.track)}`}
            />
          </div>
          <div className={styles.links}>
            <Button variant="quiet" icon={<ArrowLeft size={18} aria-hidden />} onPress={() => navigate('/')}>
              {t('green.back')}
            </Button>
            <Button
              variant="quiet"
              icon={<Volume2 size={18} aria-hidden />}
              onPress={() => void playSpeakerTest(preferences.speakerId).catch(() => undefined)}
            >
              {t('green.speakerTest')}
            </Button>
          </div>
        </section>
      </form>
    </PaperPage>
  );
}

function Toggle({ kind, on, problem }: { kind: 'mic' | 'camera'; on: boolean; problem: MediaProblem | undefined }) {
  const { t } = useTranslation();
  const works = on && !problem;
  const icons = { mic: works ? Mic : MicOff, camera: works ? Video : VideoOff };
  const Icon = icons[kind];
  const change = kind === 'mic' ? { micOn: !on } : { cameraOn: !on };
  return (
    <ToggleButton
      className={styles.toggle}
      isSelected={works}
      onChange={() => setPreferences(change)}
      aria-label={t(`green.${kind}`)}
      data-testid={kind === 'mic' ? testIds.previewMic : testIds.previewCamera}
    >
      <Icon size={22} aria-hidden />
    </ToggleButton>
  );
}

function Level({ preview, on }: { preview: Preview<Parameters<typeof useLevel>[0]>; on: boolean }) {
  const { t } = useTranslation();
  const { meter, heard } = useLevel(preview.track);
  const words = !on ? t('green.levelMuted') : preview.problem ? t('green.levelNone') : heard ? t('green.levelGood') : t('green.levelHint');
  return (
    <div className={styles.level}>
      <Mic size={18} aria-hidden />
      <div
        ref={meter}
        className={styles.meter}
        role="meter"
        aria-label={t('green.level')}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={0}
        data-testid={testIds.previewLevel}
      />
      <p className={styles.levelWords} data-heard={heard || undefined}>
        {words}
      </p>
    </div>
  );
}

function Problem({ preview }: { preview: Preview<unknown> }) {
  const { t } = useTranslation();
  if (!preview.problem) return null;
  const { cause, kind, detail } = preview.problem;
  return (
    <Notice
      tone="warn"
      testId={testIds.previewProblem}
      action={cause !== 'insecure' && <Button onPress={preview.retry}>{t('app.retry')}</Button>}
    >
      {t(`media.${cause}.${kind}`, { detail })}
    </Notice>
  );
}

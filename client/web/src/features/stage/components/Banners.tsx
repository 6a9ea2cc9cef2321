import { LoaderCircle, TriangleAlert, Volume2, X } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { useOnline } from '../../../lib/useOnline';
import { Button } from '../../../primitives/Button';
import { IconButton } from '../../../primitives/IconButton';
import { testIds } from '../../../testids';
import { useToasts } from '../../session/hooks/useSession';
import type { MeetingSession } from '../../session/meetingSession';
import type { RoomView } from '../../session/roomStore';
import styles from './Banners.module.css';

/** What is wrong with the connection and why; undefined when nothing is. */
function readTrouble(room: RoomView, online: boolean) {
  if (room.link === 'connecting') return { title: 'connection.connecting' } as const;
  if (room.link === 'reconnecting') {
    const title = 'connection.reconnecting';
    if (!online) return { title, reason: 'connection.reasonOffline' } as const;
    return { title, reason: room.restarting ? 'connection.reasonRestarting' : 'connection.reasonResuming' } as const;
  }
  const lost = room.link === 'connected' && room.people.some((person) => person.isLocal && person.quality === 'lost');
  return lost ? ({ title: 'line.lost', reason: online ? 'connection.reasonUnheard' : 'connection.reasonOffline' } as const) : undefined;
}

/** What lies over the pictures: lost connection, blocked sound, one's own share, and short messages. */
export function Banners({ session, room }: { session: MeetingSession; room: RoomView }) {
  const { t } = useTranslation();
  const toasts = useToasts(session);
  const sharing = room.people.some((person) => person.isLocal && person.screenOn);
  const trouble = readTrouble(room, useOnline());
  return (
    <div className={styles.stack}>
      {trouble && (
        <div className={`${styles.banner} ${styles.warn}`} role="status" data-testid={testIds.connectionBanner}>
          <LoaderCircle size={20} aria-hidden className={styles.turning} />
          <p>
            <strong>{t(trouble.title)}</strong>
            {trouble.reason && <span>{t(trouble.reason)}</span>}
          </p>
        </div>
      )}
      {!room.soundAllowed && (
        <div className={styles.banner} role="alert" data-testid={testIds.soundBlocked}>
          <Volume2 size={20} aria-hidden />
          <p>{t('stage.soundBlocked')}</p>
          <Button variant="primary" onPress={() => void session.room.startAudio()}>
            {t('stage.allowSound')}
          </Button>
        </div>
      )}
      {sharing && (
        <div className={styles.banner}>
          <span className={styles.live} aria-hidden />
          <p>{t('stage.youShare')}</p>
          <Button onPress={() => void session.set('screen', false)}>{t('stage.stopShare')}</Button>
        </div>
      )}
      {toasts.map((toast) => (
        <div key={toast.id} className={`${styles.banner} ${styles.toast} ${toast.tone === 'bad' ? styles.bad : ''}`}>
          {toast.tone === 'bad' && <TriangleAlert size={20} aria-hidden />}
          <p>{toast.text}</p>
          {toast.tone === 'bad' && (
            <IconButton
              tone="stage"
              label={t('app.close')}
              icon={<X size={18} aria-hidden />}
              onPress={() => session.notices.dismiss(toast.id)}
            />
          )}
        </div>
      ))}
    </div>
  );
}

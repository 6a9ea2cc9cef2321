import { useTranslation } from 'react-i18next';
import { useOnline } from '../../../lib/useOnline';
import { LineBars } from '../../../primitives/LineBars';
import { testIds } from '../../../testids';
import { useLineTrouble } from '../../session/hooks/useLineTrouble';
import type { MeetingSession } from '../../session/meetingSession';
import type { RoomView } from '../../session/roomStore';
import styles from './LineState.module.css';

interface LineStateProps {
  session: Pick<MeetingSession, 'room'>;
  room: RoomView;
  /** Few words, for the width of a phone. */
  brief?: boolean;
}

/** One's own line in words, and why when it is bad. */
export function LineState({ session, room, brief = false }: LineStateProps) {
  const { t } = useTranslation();
  const online = useOnline();
  const quality = room.people.find((person) => person.isLocal)?.quality ?? 'unknown';
  const connected = room.link === 'connected';
  const trouble = useLineTrouble(session.room, connected && quality === 'poor');
  const words = {
    connected: t(`line.${quality}`),
    connecting: t('connection.connecting'),
    reconnecting: online ? t('connection.reconnecting') : t('line.offline'),
    disconnected: t('connection.disconnected'),
  };
  // On a phone the banner says why the line is lost.
  const lost = connected && quality === 'lost' && !brief ? t('line.unheard') : undefined;
  const why = trouble ? t(brief ? `line.${trouble.cause}Short` : `line.${trouble.cause}`, { amount: trouble.amount }) : lost;
  const shown = connected ? quality : 'lost';
  return (
    <p className={styles.line} data-testid={testIds.connectionState} data-state={room.link} data-quality={shown}>
      <LineBars quality={shown} />
      <span>{why ? t('line.withReason', { words: words[room.link], why }) : words[room.link]}</span>
    </p>
  );
}

import { useTranslation } from 'react-i18next';
import { useClock } from '../../../lib/clock';
import { LineBars } from '../../../primitives/LineBars';
import { testIds } from '../../../testids';
import type { RoomView } from '../../session/roomStore';
import styles from './LineState.module.css';

/** The time of day and one's own line, in words. */
export function LineState({ room }: { room: RoomView }) {
  const { t } = useTranslation();
  const clock = useClock();
  const quality = room.people.find((person) => person.isLocal)?.quality ?? 'unknown';
  const words = {
    connected: t(`quality.${quality}`),
    connecting: t('connection.connecting'),
    reconnecting: t('connection.reconnecting'),
    disconnected: t('connection.disconnected'),
  };
  const shown = room.link === 'connected' ? quality : 'lost';
  return (
    <p className={styles.line} data-testid={testIds.connectionState} data-state={room.link}>
      <time className={styles.clock}>{clock}</time>
      <span className={styles.quality} data-quality={shown}>
        <LineBars quality={shown} />
        <span>{words[room.link]}</span>
      </span>
    </p>
  );
}

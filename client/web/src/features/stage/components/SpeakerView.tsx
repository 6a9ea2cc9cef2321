import { useTranslation } from 'react-i18next';
import type { RoomView } from '../../session/roomStore';
import type { Showing } from '../../session/showing';
import { useShown } from '../hooks/useShown';
import { arrange } from '../layout/arrange';
import { InviteCard } from './InviteCard';
import { Tile } from './Tile';
import styles from './SpeakerView.module.css';

interface SpeakerViewProps {
  showing: Showing;
  room: RoomView;
  phone: boolean;
  pinned: string | undefined;
  onPin: (key: string) => void;
  onMore: () => void;
}

/** One large picture and up to seven others: along the side on a laptop, along the foot on a phone. */
export function SpeakerView({ showing, room, phone, pinned, onPin, onMore }: SpeakerViewProps) {
  const { t } = useTranslation();
  const { main, side, hidden } = arrange(room.people, { speaker: room.speaker, pinned, limit: phone ? 12 : 7 });
  useShown(showing, [main, ...side]);
  const rows = side.length + (hidden > 0 ? 0.6 : 0);
  return (
    <div className={styles.view}>
      <div className={styles.inner}>
        <div className={styles.main}>
          {main && (
            <Tile
              key={main.key}
              shownKey={main.key}
              person={main.person}
              source={main.source}
              place="main"
              pinned={pinned === main.key}
              onPin={onPin}
            />
          )}
        </div>
        {room.people.length === 1 && <InviteCard />}
        {side.length > 0 && (
          <ul className={styles.side} aria-label={t('stage.others')} style={{ '--rows': rows } as React.CSSProperties} tabIndex={-1}>
            {side.map(({ key, person, source }) => (
              <li key={key}>
                <Tile shownKey={key} person={person} source={source} place="side" onPin={onPin} />
              </li>
            ))}
            {hidden > 0 && (
              <li className={styles.moreItem}>
                <button type="button" className={styles.more} onClick={onMore}>
                  {t('stage.more', { n: hidden })}
                </button>
              </li>
            )}
          </ul>
        )}
      </div>
    </div>
  );
}

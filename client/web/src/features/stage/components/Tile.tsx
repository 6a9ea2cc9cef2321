import { Mic, MicOff, Pin, PinOff, VideoOff } from 'lucide-react';
import { memo, type CSSProperties } from 'react';
import { useTranslation } from 'react-i18next';
import { Avatar } from '../../../primitives/Avatar';
import { LineBars } from '../../../primitives/LineBars';
import { testIds } from '../../../testids';
import type { Person } from '../../session/person';
import { TrackVideo } from './TrackVideo';
import styles from './Tile.module.css';

interface TileProps {
  shownKey: string;
  person: Person;
  source: 'camera' | 'screen';
  place: 'main' | 'side' | 'grid';
  pinned?: boolean;
  onPin: (key: string) => void;
  style?: CSSProperties;
}

/** One picture with its name plate. A press pins it to the large place, or lets it go again. */
export const Tile = memo(function Tile({ shownKey, person, source, place, pinned = false, onPin, style }: TileProps) {
  const { t } = useTranslation();
  const isScreen = source === 'screen';
  const track = isScreen ? person.screen : person.camera;
  const wanted = isScreen ? person.screenOn : person.cameraOn;
  const name = isScreen
    ? t('stage.screenOf', { name: person.name })
    : person.isLocal
      ? t('app.youSuffix', { name: person.name })
      : person.name;
  const weak = !isScreen && (person.quality === 'poor' || person.quality === 'lost') ? person.quality : undefined;
  const PinIcon = pinned ? PinOff : Pin;
  return (
    <article
      className={`${styles.tile} ${styles[place]}`}
      style={style}
      aria-label={name}
      data-testid={place === 'main' ? testIds.mainTile : testIds.tile}
      data-participant={person.identity}
      data-name={person.name}
      data-source={source}
      data-mic={person.micOn ? 'on' : 'off'}
      data-speaking={(person.speaking && !isScreen) || undefined}
      data-video={track ? 'on' : 'off'}
    >
      {track ? (
        <TrackVideo
          track={track}
          mirrored={person.isLocal && !isScreen}
          whole={isScreen}
          backdrop={place === 'main' && !isScreen}
          waiting={t('stage.waitingVideo')}
          testId={testIds.tileVideo}
        />
      ) : (
        <div className={styles.card}>
          <Avatar name={person.name} identity={person.identity} />
          {wanted && <p className={styles.cardWords}>{t('stage.waitingVideo')}</p>}
        </div>
      )}
      <button
        type="button"
        className={styles.pin}
        onClick={() => onPin(shownKey)}
        aria-pressed={pinned}
        aria-label={pinned ? t('stage.unpin', { name }) : t('stage.pin', { name })}
      >
        <span className={styles.pinIcon}>
          <PinIcon size={18} aria-hidden />
        </span>
      </button>
      {weak && (
        <p className={styles.quality} data-quality={person.quality}>
          <LineBars quality={person.quality} />
          {place === 'side' && <span aria-hidden>{t(`quality.${weak}Short`)}</span>}
          <span className={place === 'side' ? 'visually-hidden' : undefined}>{t(`quality.${weak}`)}</span>
        </p>
      )}
      <p className={styles.plate}>
        {!isScreen && <MicState person={person} />}
        {!isScreen && !wanted && place !== 'side' && (
          <VideoOff size={16} aria-label={t('stage.cameraOff')} className={`${styles.off} ${styles.cameraOff}`} />
        )}
        <span className={styles.name}>{place === 'side' && person.isLocal && !isScreen ? t('app.you') : name}</span>
        {pinned && place === 'main' && (
          <span className={styles.pinned}>
            <Pin size={14} aria-hidden /> {t('stage.pinned')}
          </span>
        )}
      </p>
    </article>
  );
});

function MicState({ person }: { person: Person }) {
  const { t } = useTranslation();
  if (!person.micOn) return <MicOff size={16} aria-label={t('stage.micOff')} className={styles.off} />;
  return (
    <Mic
      size={16}
      aria-label={person.speaking ? t('stage.speaking') : t('stage.micOn')}
      className={person.speaking ? styles.speaking : styles.on}
    />
  );
}

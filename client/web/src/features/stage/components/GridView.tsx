import { ChevronLeft, ChevronRight } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { IconButton } from '../../../primitives/IconButton';
import type { RoomView } from '../../session/roomStore';
import type { Showing } from '../../session/showing';
import { useShown } from '../hooks/useShown';
import { useSize } from '../hooks/useSize';
import { pictures } from '../layout/arrange';
import { gridShape, pageOf } from '../layout/grid';
import { Tile } from './Tile';
import styles from './GridView.module.css';

const gap = 8;

interface GridViewProps {
  showing: Showing;
  room: RoomView;
  phone: boolean;
  onPin: (key: string) => void;
}

/** Everybody at the same size, in pages. */
export function GridView({ showing, room, phone, onPin }: GridViewProps) {
  const { t } = useTranslation();
  const [wanted, setWanted] = useState(0);
  const { ref, width, height } = useSize<HTMLDivElement>();
  const { items, page, pages } = pageOf(pictures(room.people), wanted, phone ? 6 : 16);
  useShown(showing, items);
  const shape = gridShape(items.length, width, height, gap);
  return (
    <div className={styles.view}>
      <div ref={ref} className={styles.space}>
        <ul className={styles.grid} style={{ gap, maxWidth: shape.columns * (shape.width + gap) }}>
          {items.map(({ key, person, source }) => (
            <li key={key}>
              <Tile
                shownKey={key}
                person={person}
                source={source}
                place="grid"
                onPin={onPin}
                style={{ width: shape.width, height: shape.height }}
              />
            </li>
          ))}
        </ul>
      </div>
      {pages > 1 && (
        <nav className={styles.pages}>
          <IconButton
            tone="stage"
            label={t('stage.previousPage')}
            icon={<ChevronLeft aria-hidden />}
            isDisabled={page === 0}
            onPress={() => setWanted(page - 1)}
          />
          <p>{t('stage.page', { page: page + 1, pages })}</p>
          <IconButton
            tone="stage"
            label={t('stage.nextPage')}
            icon={<ChevronRight aria-hidden />}
            isDisabled={page === pages - 1}
            onPress={() => setWanted(page + 1)}
          />
        </nav>
      )}
    </div>
  );
}

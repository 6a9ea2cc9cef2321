import { Mic, MicOff, MonitorUp, Video, VideoOff } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { compareByGivenName, nameMatches } from '../../../lib/names';
import { Avatar } from '../../../primitives/Avatar';
import { TextField } from '../../../primitives/TextField';
import { testIds } from '../../../testids';
import type { Person } from '../../session/person';
import styles from './PeoplePanel.module.css';

/** From here on the list can be searched. */
const searchFrom = 8;

/** Everybody in the room by given name, oneself first. */
export function PeoplePanel({ people }: { people: readonly Person[] }) {
  const { t } = useTranslation();
  const [query, setQuery] = useState('');
  const shown = people
    .filter((person) => nameMatches(person.name, query))
    .sort((a, b) => Number(b.isLocal) - Number(a.isLocal) || compareByGivenName(a.name, b.name));
  return (
    <div className={styles.panel} tabIndex={0} role="group" aria-label={t('people.title')}>
      <p className={styles.count}>{t('people.inRoom', { n: people.length })}</p>
      {people.length >= searchFrom && <TextField label={t('people.search')} value={query} onChange={setQuery} autoComplete="off" />}
      {shown.length === 0 && <p className={styles.none}>{t('people.none')}</p>}
      <ul>
        {shown.map((person) => (
          <Row key={person.identity} person={person} />
        ))}
      </ul>
    </div>
  );
}

function Row({ person }: { person: Person }) {
  const { t } = useTranslation();
  return (
    <li className={styles.row} data-testid={testIds.person} data-participant={person.identity} data-mic={person.micOn ? 'on' : 'off'}>
      <Avatar name={person.name} identity={person.identity} />
      <div className={styles.words}>
        <p className={styles.name}>{person.isLocal ? t('app.youSuffix', { name: person.name }) : person.name}</p>
        <p className={styles.state} data-quality={person.quality}>
          {person.speaking ? t('stage.speaking') : t(`quality.${person.quality}`)}
        </p>
      </div>
      {person.screenOn && <MonitorUp size={20} aria-label={t('stage.screenOf', { name: person.name })} className={styles.on} />}
      {person.micOn ? (
        <Mic size={20} aria-label={t('stage.micOn')} className={styles.on} />
      ) : (
        <MicOff size={20} aria-label={t('stage.micOff')} className={styles.off} />
      )}
      {person.cameraOn ? (
        <Video size={20} aria-hidden className={styles.on} />
      ) : (
        <VideoOff size={20} aria-label={t('stage.cameraOff')} className={styles.off} />
      )}
    </li>
  );
}

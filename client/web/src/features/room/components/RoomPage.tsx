import { LoaderCircle } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { getPreferences, setPreferences } from '../../../lib/preferences';
import { GreenRoom } from '../../greenroom/components/GreenRoom';
import { LeftPage } from '../../left/components/LeftPage';
import { forgetJoined, joinedRoom, rememberJoined, tokenLasts } from '../../session/api/joined';
import { fetchDemoToken, type ServerConfig } from '../../session/api/server';
import { invitationToken, readToken } from '../../session/api/token';
import { MeetingSession, type EndReason } from '../../session/meetingSession';
import { Stage } from '../../stage/components/Stage';
import { joinErrorText } from '../joinError';
import { useRoomTitle } from '../useRoomTitle';
import styles from './RoomPage.module.css';

type Phase =
  | { at: 'green'; error: unknown }
  | { at: 'joining'; returning: boolean }
  | { at: 'stage'; session: MeetingSession }
  | { at: 'left'; reason: EndReason };

interface RoomPageProps {
  room: string;
  name: string;
  config: ServerConfig;
}

/** One room: green room, stage, and the page after leaving. A reload while on the stage comes back to it. */
export function RoomPage({ room, name: askedName, config }: RoomPageProps) {
  const { t } = useTranslation();
  const title = useRoomTitle(room);
  const invitation = invitationToken();
  const invited = readToken(invitation ?? '');
  const [phase, setPhase] = useState<Phase>(() =>
    joinedRoom(room) ? { at: 'joining', returning: true } : { at: 'green', error: undefined },
  );
  const [name, setName] = useState(() => invited?.name || joinedRoom(room)?.name || askedName || getPreferences().name);
  const returned = useRef(false);

  useEffect(() => {
    document.title = `${title} – ${t('app.name')}`;
  }, [title, t]);

  const join = async (as: string, returning: boolean) => {
    setName(as);
    setPhase({ at: 'joining', returning });
    try {
      const before = joinedRoom(room);
      const reusable = before && before.name === as && tokenLasts(before.token) ? before.token : undefined;
      const token = invitation ?? reusable ?? (await fetchDemoToken(as, room));
      const session = new MeetingSession(room, token, new URLSearchParams(location.search).get('pc'));
      await session.connect();
      if (!invited) setPreferences({ name: as });
      rememberJoined({ room, name: as, token });
      if (config.demo) window.__diemcau = { room: session.room };
      void session.ended.then((reason) => {
        forgetJoined();
        setPhase({ at: 'left', reason });
      });
      setPhase({ at: 'stage', session });
    } catch (error) {
      forgetJoined();
      setPhase({ at: 'green', error });
    }
  };

  const session = phase.at === 'stage' ? phase.session : undefined;
  useEffect(() => {
    if (!session) return;
    // A page out of the browser's back/forward cache has lost its connections.
    const shown = (event: PageTransitionEvent) => {
      if (event.persisted) location.reload();
    };
    window.addEventListener('pageshow', shown);
    return () => {
      window.removeEventListener('pageshow', shown);
      void session.leave();
    };
  }, [session]);

  const joinOnce = useRef(join);
  useEffect(() => {
    if (returned.current) return;
    returned.current = true;
    const before = joinedRoom(room);
    if (before) void joinOnce.current(before.name, true);
  }, [room]);

  if (phase.at === 'stage') return <Stage session={phase.session} />;
  if (phase.at === 'left')
    return <LeftPage title={title} reason={phase.reason} onRejoin={() => setPhase({ at: 'green', error: undefined })} />;
  if (phase.at === 'joining' && phase.returning) {
    return (
      <main className={styles.returning}>
        <LoaderCircle size={28} aria-hidden className={styles.turning} />
        <p role="status">{t('connection.rejoining')}</p>
      </main>
    );
  }
  return (
    <GreenRoom
      room={room}
      name={name}
      nameFixed={Boolean(invited)}
      joining={phase.at === 'joining'}
      error={phase.at === 'green' && phase.error !== undefined ? joinErrorText(phase.error, t) : ''}
      onJoin={(as) => void join(as, false)}
    />
  );
}

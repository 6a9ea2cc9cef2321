import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { phoneQuery, useMediaQuery } from '../../../lib/useMediaQuery';
import { testIds } from '../../../testids';
import { useRoomTitle } from '../../room/useRoomTitle';
import { useRoomView } from '../../session/hooks/useSession';
import type { MeetingSession } from '../../session/meetingSession';
import { SettingsDialog } from '../../settings/components/SettingsDialog';
import { useShortcuts } from '../hooks/useShortcuts';
import { useWakeLock } from '../hooks/useWakeLock';
import { Announcer } from './Announcer';
import { Banners } from './Banners';
import { ControlBar } from './ControlBar';
import { GridView } from './GridView';
import { LeaveDialog } from './LeaveDialog';
import { PhoneHeader } from './PhoneHeader';
import { SidePanel, type PanelTab } from './SidePanel';
import { Sounds } from './Sounds';
import { SpeakerView } from './SpeakerView';
import styles from './Stage.module.css';

export type View = 'speaker' | 'grid';
export type Overlay = 'settings' | 'leave';

/** The meeting itself: pictures, controls, side panel. */
export function Stage({ session }: { session: MeetingSession }) {
  const { t } = useTranslation();
  const room = useRoomView(session);
  const title = useRoomTitle(session.roomName);
  const phone = useMediaQuery(phoneQuery);
  const [view, setView] = useState<View>('speaker');
  const [pinned, setPinned] = useState<string>();
  const [panel, setPanel] = useState<PanelTab>();
  const [overlay, setOverlay] = useState<Overlay>();
  const me = room.people.find((person) => person.isLocal);

  useEffect(() => void session.start(), [session]);
  useWakeLock();
  useShortcuts({
    m: () => void session.set('mic', !me?.micOn),
    v: () => void session.set('camera', !me?.cameraOn),
  });

  // A screen that someone begins to share takes the large place, whatever was chosen before.
  const sharer = room.people.find((person) => person.screenOn && !person.isLocal)?.identity;
  const [shownSharer, setShownSharer] = useState(sharer);
  if (sharer !== shownSharer) {
    setShownSharer(sharer);
    if (sharer !== undefined) {
      setView('speaker');
      setPinned(undefined);
    }
  }

  const pin = (key: string) => {
    setPinned((before) => (before === key ? undefined : key));
    setView('speaker');
  };
  const togglePanel = (tab: PanelTab) => setPanel((before) => (before === tab ? undefined : tab));

  return (
    <div className={styles.stage} data-testid={testIds.stage} data-view={view}>
      {phone && (
        <PhoneHeader title={title} room={room} view={view} onView={setView} onSettings={() => setOverlay('settings')} session={session} />
      )}
      <div className={styles.middle}>
        <main className={styles.pictures} aria-label={t('stage.label')}>
          <h1 className="visually-hidden">{title}</h1>
          {view === 'grid' && room.people.length > 1 ? (
            <GridView showing={session.showing} room={room} phone={phone} onPin={pin} />
          ) : (
            <SpeakerView
              showing={session.showing}
              room={room}
              phone={phone}
              pinned={pinned}
              onPin={pin}
              onMore={() => setPanel('people')}
            />
          )}
          <Banners session={session} room={room} />
        </main>
        <SidePanel session={session} room={room} tab={panel} onTab={setPanel} sheet={phone} />
      </div>
      <ControlBar
        session={session}
        room={room}
        title={title}
        phone={phone}
        view={view}
        panel={panel}
        onView={setView}
        onPanel={togglePanel}
        onOverlay={setOverlay}
      />
      <SettingsDialog session={session} isOpen={overlay === 'settings'} onClose={() => setOverlay(undefined)} />
      <LeaveDialog isOpen={overlay === 'leave'} onStay={() => setOverlay(undefined)} onLeave={() => void session.leave()} />
      <Sounds sounds={room.sounds} />
      <Announcer session={session} chatOpen={panel === 'chat'} />
    </div>
  );
}

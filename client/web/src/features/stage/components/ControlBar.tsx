import {
  LayoutGrid,
  LogOut,
  MessageSquareText,
  Mic,
  MicOff,
  MonitorUp,
  MonitorX,
  RectangleHorizontal,
  Settings,
  Users,
  Video,
  VideoOff,
} from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { testIds } from '../../../testids';
import { useChat } from '../../session/hooks/useSession';
import { canShareScreen, type MediaKind } from '../../session/mediaProblem';
import type { MeetingSession } from '../../session/meetingSession';
import type { RoomView } from '../../session/roomStore';
import { usePending } from '../hooks/usePending';
import { Clock } from './Clock';
import { ControlButton } from './ControlButton';
import { LineState } from './LineState';
import type { PanelTab } from './SidePanel';
import type { Overlay, View } from './Stage';
import styles from './ControlBar.module.css';

interface ControlBarProps {
  session: MeetingSession;
  room: RoomView;
  title: string;
  phone: boolean;
  view: View;
  panel: PanelTab | undefined;
  onView: (view: View) => void;
  onPanel: (tab: PanelTab) => void;
  onOverlay: (overlay: Overlay) => void;
}

/** The controls: four at the thumb on a phone, everything in one row on a laptop. */
export function ControlBar({ session, room, title, phone, view, panel, onView, onPanel, onOverlay }: ControlBarProps) {
  const { t } = useTranslation();
  const { unread } = useChat(session);
  const { pending, run } = usePending<MediaKind>();
  const me = room.people.find((person) => person.isLocal);
  const micOn = me?.micOn ?? false;
  const cameraOn = me?.cameraOn ?? false;
  const screenOn = me?.screenOn ?? false;
  const toggle = (kind: MediaKind, on: boolean) => run(kind, () => session.set(kind, on));

  const mic = (
    <ControlButton
      icon={micOn ? Mic : MicOff}
      label={micOn ? t('controls.micOff') : t('controls.micOn')}
      look={micOn ? 'plain' : 'off'}
      onPress={() => toggle('mic', !micOn)}
      data-busy={pending.has('mic') || undefined}
      aria-keyshortcuts="M"
      data-testid={testIds.controlMic}
      on={micOn}
      state={micOn ? t('stage.micOn') : t('stage.micOff')}
    />
  );
  const camera = (
    <ControlButton
      icon={cameraOn ? Video : VideoOff}
      label={cameraOn ? t('controls.cameraOff') : t('controls.cameraOn')}
      look={cameraOn ? 'plain' : 'off'}
      onPress={() => toggle('camera', !cameraOn)}
      data-busy={pending.has('camera') || undefined}
      aria-keyshortcuts="V"
      data-testid={testIds.controlCamera}
      on={cameraOn}
      state={cameraOn ? t('stage.cameraOn') : t('stage.cameraOff')}
    />
  );
  const chat = (
    <ControlButton
      icon={MessageSquareText}
      label={t('controls.chat')}
      look={panel === 'chat' ? 'open' : 'plain'}
      badge={unread}
      badgeLabel={t('chat.unread', { n: unread })}
      badgeTestId={testIds.chatUnread}
      onPress={() => onPanel('chat')}
      aria-expanded={panel === 'chat'}
      data-testid={testIds.controlChat}
    />
  );
  const leave = (
    <ControlButton
      icon={LogOut}
      label={t('controls.leave')}
      look="leave"
      onPress={() => onOverlay('leave')}
      data-testid={testIds.controlLeave}
    />
  );

  if (phone) {
    return (
      <footer className={styles.bar} aria-label={t('controls.label')}>
        {mic}
        {camera}
        {chat}
        {leave}
      </footer>
    );
  }
  return (
    <footer className={styles.bar} aria-label={t('controls.label')}>
      <div className={styles.about}>
        <div className={styles.where}>
          <p className={styles.title}>{title}</p>
          <Clock />
        </div>
        <LineState session={session} room={room} />
      </div>
      <div className={styles.middle}>
        {mic}
        {camera}
        {canShareScreen() && (
          <ControlButton
            icon={screenOn ? MonitorX : MonitorUp}
            label={screenOn ? t('stage.stopShare') : t('controls.share')}
            look={screenOn ? 'open' : 'plain'}
            onPress={() => toggle('screen', !screenOn)}
            data-busy={pending.has('screen') || undefined}
            data-testid={testIds.controlShare}
            on={screenOn}
          />
        )}
        <ControlButton
          icon={view === 'grid' ? RectangleHorizontal : LayoutGrid}
          label={view === 'grid' ? t('controls.viewSpeaker') : t('controls.viewGrid')}
          onPress={() => onView(view === 'grid' ? 'speaker' : 'grid')}
          data-testid={testIds.controlView}
        />
        {leave}
      </div>
      <div className={styles.end}>
        {chat}
        <ControlButton
          icon={Users}
          label={t('controls.people')}
          badge={room.people.length}
          badgeLabel={t('people.nInRoom', { n: room.people.length })}
          quiet
          look={panel === 'people' ? 'open' : 'plain'}
          onPress={() => onPanel('people')}
          aria-expanded={panel === 'people'}
          data-testid={testIds.controlPeople}
        />
        <ControlButton
          icon={Settings}
          label={t('controls.settings')}
          onPress={() => onOverlay('settings')}
          data-testid={testIds.controlSettings}
        />
      </div>
    </footer>
  );
}

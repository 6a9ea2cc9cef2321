import { Ellipsis, LayoutGrid, MonitorUp, MonitorX, RectangleHorizontal, Settings } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { Menu, MenuItem, MenuTrigger, Popover } from 'react-aria-components';
import { IconButton } from '../../../primitives/IconButton';
import { testIds } from '../../../testids';
import { canShareScreen } from '../../session/mediaProblem';
import type { MeetingSession } from '../../session/meetingSession';
import type { RoomView } from '../../session/roomStore';
import { Clock } from './Clock';
import { LineState } from './LineState';
import type { View } from './Stage';
import styles from './PhoneHeader.module.css';

interface PhoneHeaderProps {
  title: string;
  room: RoomView;
  session: MeetingSession;
  view: View;
  onView: (view: View) => void;
  onSettings: () => void;
}

/** On a phone: where one is, how the line is, and the controls that are not at the thumb. */
export function PhoneHeader({ title, room, session, view, onView, onSettings }: PhoneHeaderProps) {
  const { t } = useTranslation();
  const screenOn = room.people.some((person) => person.isLocal && person.screenOn);
  return (
    <header className={styles.header}>
      <div className={styles.about}>
        <div className={styles.where}>
          <p className={styles.title}>{title}</p>
          <Clock />
        </div>
        <LineState session={session} room={room} brief />
      </div>
      <MenuTrigger>
        <IconButton tone="stage" label={t('controls.more')} icon={<Ellipsis size={24} aria-hidden />} data-testid={testIds.controlMore} />
        <Popover className={styles.popover} placement="bottom end">
          <Menu className={styles.menu} aria-label={t('controls.more')}>
            <MenuItem
              className={styles.item}
              onAction={() => onView(view === 'grid' ? 'speaker' : 'grid')}
              data-testid={testIds.controlView}
            >
              {view === 'grid' ? <RectangleHorizontal size={20} aria-hidden /> : <LayoutGrid size={20} aria-hidden />}
              {view === 'grid' ? t('controls.viewSpeakerLong') : t('controls.viewGridLong')}
            </MenuItem>
            {canShareScreen() && (
              <MenuItem className={styles.item} onAction={() => void session.set('screen', !screenOn)} data-testid={testIds.controlShare}>
                {screenOn ? <MonitorX size={20} aria-hidden /> : <MonitorUp size={20} aria-hidden />}
                {screenOn ? t('stage.stopShare') : t('controls.shareLong')}
              </MenuItem>
            )}
            <MenuItem className={styles.item} onAction={onSettings} data-testid={testIds.controlSettings}>
              <Settings size={20} aria-hidden />
              {t('controls.settings')}
            </MenuItem>
          </Menu>
        </Popover>
      </MenuTrigger>
    </header>
  );
}

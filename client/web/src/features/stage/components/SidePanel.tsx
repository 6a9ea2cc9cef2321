import { X } from 'lucide-react';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { Dialog, Modal, ModalOverlay, Tab, TabList, TabPanel, Tabs } from 'react-aria-components';
import { IconButton } from '../../../primitives/IconButton';
import { testIds } from '../../../testids';
import { ChatPanel } from '../../chat/components/ChatPanel';
import { PeoplePanel } from '../../people/components/PeoplePanel';
import type { MeetingSession } from '../../session/meetingSession';
import type { RoomView } from '../../session/roomStore';
import styles from './SidePanel.module.css';

export type PanelTab = 'chat' | 'people';

interface SidePanelProps {
  session: MeetingSession;
  room: RoomView;
  tab: PanelTab | undefined;
  onTab: (tab: PanelTab | undefined) => void;
  /** On phones the panel is a sheet over the pictures. */
  sheet: boolean;
}

/** Chat and people: beside the pictures, or a sheet over them. Esc closes it. */
export function SidePanel({ session, room, tab, onTab, sheet }: SidePanelProps) {
  const { t } = useTranslation();
  const close = () => onTab(undefined);
  const label = tab === 'people' ? t('people.title') : t('chat.title');

  if (sheet) {
    return (
      <ModalOverlay className={styles.overlay} isOpen={tab !== undefined} isDismissable onOpenChange={(open) => !open && close()}>
        <Modal className={styles.sheet}>
          <Dialog className={styles.dialog} aria-label={label} data-testid={testIds.panel}>
            {tab && <PanelTabs session={session} room={room} tab={tab} onTab={onTab} onClose={close} />}
          </Dialog>
        </Modal>
      </ModalOverlay>
    );
  }
  if (!tab) return null;
  return (
    <aside
      className={styles.aside}
      aria-label={label}
      data-testid={testIds.panel}
      onKeyDown={(event) => {
        if (event.key === 'Escape') close();
      }}
    >
      <PanelTabs session={session} room={room} tab={tab} onTab={onTab} onClose={close} />
    </aside>
  );
}

interface PanelTabsProps {
  session: MeetingSession;
  room: RoomView;
  tab: PanelTab;
  onTab: (tab: PanelTab) => void;
  onClose: () => void;
}

function PanelTabs({ session, room, tab, onTab, onClose }: PanelTabsProps) {
  const { t } = useTranslation();
  useReturnFocus(tab);
  return (
    <Tabs className={styles.tabs} selectedKey={tab} onSelectionChange={(key) => onTab(key === 'people' ? 'people' : 'chat')}>
      <header className={styles.header}>
        <TabList className={styles.list} aria-label={t('chat.title')}>
          <Tab id="chat" className={styles.tab}>
            {t('chat.title')}
          </Tab>
          <Tab id="people" className={styles.tab}>
            {t('people.tab')} <span className={styles.count}>{room.people.length}</span>
          </Tab>
        </TabList>
        <IconButton label={t('app.close')} icon={<X size={22} aria-hidden />} onPress={onClose} data-testid={testIds.panelClose} />
      </header>
      <TabPanel id="chat" className={styles.panel}>
        <ChatPanel session={session} />
      </TabPanel>
      <TabPanel id="people" className={styles.panel}>
        <PeoplePanel people={room.people} />
      </TabPanel>
    </Tabs>
  );
}

/** When the panel closes with the focus in it, the focus goes back to the control that opened it. */
function useReturnFocus(tab: PanelTab): void {
  useEffect(() => {
    return () => {
      const opener = document.querySelector<HTMLElement>(`[data-testid="${tab === 'chat' ? testIds.controlChat : testIds.controlPeople}"]`);
      requestAnimationFrame(() => {
        if (document.activeElement === document.body) opener?.focus();
      });
    };
  }, [tab]);
}

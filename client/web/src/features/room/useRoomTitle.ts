import { useTranslation } from 'react-i18next';
import { vi } from '../../i18n/vi';

type KnownRoom = keyof typeof vi.rooms;

const isKnown = (room: string): room is KnownRoom => Object.hasOwn(vi.rooms, room);

/** A room's name for people: the full name of a suggested room, else its code. */
export function useRoomTitle(room: string): string {
  const { t } = useTranslation();
  return isKnown(room) ? t(`rooms.${room}`) : room;
}

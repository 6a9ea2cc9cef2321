import { useSyncExternalStore } from 'react';
import type { ChatView } from '../../chat/chatStore';
import type { MeetingSession } from '../meetingSession';
import type { Toast } from '../noticeStore';
import type { RoomView } from '../roomStore';

export function useRoomView(session: MeetingSession): RoomView {
  return useSyncExternalStore(session.view.subscribe, session.view.snapshot);
}

export function useToasts(session: MeetingSession): readonly Toast[] {
  return useSyncExternalStore(session.notices.subscribe, session.notices.snapshot);
}

export function useChat(session: MeetingSession): ChatView {
  return useSyncExternalStore(session.chat.subscribe, session.chat.snapshot);
}

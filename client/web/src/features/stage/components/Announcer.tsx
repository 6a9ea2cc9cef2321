import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { testIds } from '../../../testids';
import { useToasts } from '../../session/hooks/useSession';
import type { MeetingSession } from '../../session/meetingSession';

/** Tells screen readers who comes and goes, what failed, and — while the chat is closed — what is written. */
export function Announcer({ session, chatOpen }: { session: MeetingSession; chatOpen: boolean }) {
  const { t } = useTranslation();
  const toasts = useToasts(session);
  const [written, setWritten] = useState('');
  useEffect(
    () => session.chat.onArrival(({ name, text }) => setWritten(chatOpen ? '' : t('chat.announce', { name, text: text.slice(0, 200) }))),
    [session, chatOpen, t],
  );
  return (
    <div className="visually-hidden" data-testid={testIds.announcer}>
      <p aria-live="polite">{toasts[toasts.length - 1]?.text}</p>
      <p aria-live="polite">{written}</p>
    </div>
  );
}

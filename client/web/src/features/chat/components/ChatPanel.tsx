import { MessageSquareText, SendHorizontal } from 'lucide-react';
import { useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { clockTime } from '../../../lib/clock';
import { Button } from '../../../primitives/Button';
import { IconButton } from '../../../primitives/IconButton';
import { testIds } from '../../../testids';
import { useChat } from '../../session/hooks/useSession';
import type { MeetingSession } from '../../session/meetingSession';
import { maxMessage, type ChatMessage } from '../chatStore';
import styles from './ChatPanel.module.css';

/** Pixels from the foot within which the list follows new messages. */
const nearFoot = 80;

/** The messages of the meeting and the line to write one. */
export function ChatPanel({ session }: { session: MeetingSession }) {
  const { t } = useTranslation();
  const { messages } = useChat(session);
  const { list, onScroll } = useFollow(messages);

  useEffect(() => {
    session.chat.setOpen(true);
    return () => session.chat.setOpen(false);
  }, [session]);

  return (
    <>
      <div className={styles.scroll} ref={list} onScroll={onScroll} tabIndex={0} role="log" aria-label={t('chat.log')}>
        {messages.length === 0 ? (
          <div className={styles.empty}>
            <MessageSquareText size={32} aria-hidden />
            <p className={styles.emptyTitle}>{t('chat.empty')}</p>
            <p>{t('chat.emptyHelp')}</p>
          </div>
        ) : (
          <ol className={styles.list}>
            {messages.map((message, index) => (
              <Message
                key={message.id}
                message={message}
                continued={continues(messages[index - 1], message)}
                onResend={() => void session.chat.resend(message.id)}
              />
            ))}
          </ol>
        )}
      </div>
      <Composer session={session} />
    </>
  );
}

/** A message within two minutes of the same person's last stands below it without a new head. */
function continues(before: ChatMessage | undefined, message: ChatMessage): boolean {
  return before?.from === message.from && message.at - before.at < 120_000;
}

function Message({ message, continued, onResend }: { message: ChatMessage; continued: boolean; onResend: () => void }) {
  const { t } = useTranslation();
  return (
    <li
      className={styles.message}
      data-mine={message.mine || undefined}
      data-continued={continued || undefined}
      data-testid={testIds.chatMessage}
      data-from={message.from}
      data-state={message.state}
    >
      {!continued && (
        <p className={styles.head}>
          <span className={styles.from}>{message.mine ? t('app.you') : message.name}</span>
          <time dateTime={new Date(message.at).toISOString()}>{clockTime(message.at)}</time>
        </p>
      )}
      <p className={styles.text}>{message.text}</p>
      {message.state === 'sending' && <p className={styles.state}>{t('chat.sending')}</p>}
      {message.state === 'failed' && (
        <p className={styles.failed} role="alert">
          {t('chat.failed')}
          <Button variant="quiet" onPress={onResend}>
            {t('chat.resend')}
          </Button>
        </p>
      )}
    </li>
  );
}

function Composer({ session }: { session: MeetingSession }) {
  const { t } = useTranslation();
  const [text, setText] = useState(() => session.chat.draft());
  const input = useRef<HTMLTextAreaElement>(null);

  useEffect(() => input.current?.focus(), []);
  useEffect(() => session.chat.keepDraft(text), [session, text]);

  const send = () => {
    if (!text.trim()) return;
    void session.chat.send(text);
    setText('');
    input.current?.focus();
  };
  const keyDown = (event: KeyboardEvent) => {
    // Enter within an input method (Telex, VNI) ends the word, not the message.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form
      className={styles.composer}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div className={styles.grow} data-text={text}>
        <textarea
          ref={input}
          className={styles.input}
          rows={1}
          value={text}
          maxLength={maxMessage}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={keyDown}
          placeholder={t('chat.placeholder')}
          aria-label={t('chat.placeholder')}
          enterKeyHint="send"
          data-testid={testIds.chatInput}
        />
      </div>
      <IconButton
        label={t('chat.send')}
        icon={<SendHorizontal size={22} aria-hidden />}
        type="submit"
        isDisabled={!text.trim()}
        data-testid={testIds.chatSend}
      />
    </form>
  );
}

/** Keeps a list at its foot while its reader is there. */
function useFollow(messages: readonly ChatMessage[]) {
  const list = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  useLayoutEffect(() => {
    const element = list.current;
    const mine = messages[messages.length - 1]?.mine;
    if (element && (following.current || mine)) element.scrollTop = element.scrollHeight;
  }, [messages]);
  const onScroll = () => {
    const element = list.current;
    if (element) following.current = element.scrollHeight - element.scrollTop - element.clientHeight < nearFoot;
  };
  return { list, onScroll };
}

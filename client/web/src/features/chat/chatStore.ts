import { RoomEvent, type Room } from 'livekit-client';

/** The topic on which LiveKit clients exchange chat as text streams. */
export const chatTopic = 'lk.chat';
/** Longest message, in characters: with Vietnamese marks well under one data packet. */
export const maxMessage = 2000;
/** Older messages than this many make way: a tab stays small in a long meeting. */
const keep = 500;

export interface ChatMessage {
  id: string;
  from: string;
  name: string;
  mine: boolean;
  text: string;
  /** Unix milliseconds, by this machine's clock. */
  at: number;
  state: 'sending' | 'sent' | 'failed';
}

export interface ChatView {
  messages: readonly ChatMessage[];
  unread: number;
}

type ChatRoom = Pick<
  Room,
  'registerTextStreamHandler' | 'unregisterTextStreamHandler' | 'getParticipantByIdentity' | 'localParticipant' | 'on' | 'off'
>;

/** The messages of one stay in a room. For useSyncExternalStore. */
export class ChatStore {
  private readonly listeners = new Set<() => void>();
  private readonly arrivals = new Set<(message: ChatMessage) => void>();
  private view: ChatView = { messages: [], unread: 0 };
  private open = false;
  private count = 0;
  private typed = '';

  constructor(private readonly room: ChatRoom) {
    room.registerTextStreamHandler(chatTopic, (reader, { identity }) => {
      // A stream that breaks off has no message to show; the sender is told by the SDK.
      reader.readAll().then(
        (text) => this.receive(reader.info.id, identity, text),
        () => undefined,
      );
    });
    // Clients from before text streams.
    room.on(RoomEvent.ChatMessage, this.onLegacy);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): ChatView => this.view;

  /** Calls back for every message of someone else. Returns the way to stop. */
  onArrival = (callback: (message: ChatMessage) => void): (() => void) => {
    this.arrivals.add(callback);
    return () => this.arrivals.delete(callback);
  };

  /** Tells whether the messages are in view: what arrives then is read. */
  setOpen(open: boolean): void {
    this.open = open;
    if (open && this.view.unread > 0) this.set({ ...this.view, unread: 0 });
  }

  /** What is typed and not sent yet: kept here so that a closed panel loses nothing. */
  draft(): string {
    return this.typed;
  }

  keepDraft(text: string): void {
    this.typed = text;
  }

  /** Sends a message to everybody; it is in view at once and marked failed if it does not get out. Empty text is not sent. */
  async send(text: string): Promise<void> {
    const trimmed = text.trim().slice(0, maxMessage);
    if (!trimmed) return;
    const me = this.room.localParticipant;
    const id = `own-${this.count++}`;
    this.add({ id, from: me.identity, name: me.name || me.identity, mine: true, text: trimmed, at: Date.now(), state: 'sending' });
    await this.deliver(id, trimmed);
  }

  /** Tries a failed message again. */
  async resend(id: string): Promise<void> {
    const message = this.view.messages.find((known) => known.id === id && known.state === 'failed');
    if (!message) return;
    this.mark(id, 'sending');
    await this.deliver(id, message.text);
  }

  close(): void {
    this.room.unregisterTextStreamHandler(chatTopic);
    this.room.off(RoomEvent.ChatMessage, this.onLegacy);
    this.listeners.clear();
    this.arrivals.clear();
  }

  private async deliver(id: string, text: string): Promise<void> {
    try {
      await this.room.localParticipant.sendText(text, { topic: chatTopic });
      this.mark(id, 'sent');
    } catch {
      this.mark(id, 'failed');
    }
  }

  private readonly onLegacy = (message: { id: string; message: string }, participant?: { identity: string; isLocal: boolean }): void => {
    if (participant && !participant.isLocal) this.receive(message.id, participant.identity, message.message);
  };

  private receive(id: string, from: string, text: string): void {
    const trimmed = text.trim().slice(0, maxMessage);
    if (!trimmed || this.view.messages.some((known) => known.id === id)) return;
    const name = this.room.getParticipantByIdentity(from)?.name || from;
    const message: ChatMessage = { id, from, name, mine: false, text: trimmed, at: Date.now(), state: 'sent' };
    this.add(message);
    for (const callback of this.arrivals) callback(message);
  }

  private add(message: ChatMessage): void {
    const unread = this.view.unread + (this.open || message.mine ? 0 : 1);
    this.set({ messages: [...this.view.messages, message].slice(-keep), unread });
  }

  private mark(id: string, state: ChatMessage['state']): void {
    this.set({ ...this.view, messages: this.view.messages.map((message) => (message.id === id ? { ...message, state } : message)) });
  }

  private set(view: ChatView): void {
    this.view = view;
    for (const listener of this.listeners) listener();
  }
}

/** A short message over the stage. `text` is already in the reader's language. */
export interface Toast {
  id: number;
  tone: 'info' | 'bad';
  text: string;
}

/** At most this many messages are shown; an older one makes way. */
const limit = 3;
/** Milliseconds a message stays; a problem stays longer, for it has more to read. */
const stay = { info: 4000, bad: 12_000 };

/** The messages over the stage, and what screen readers are told. For useSyncExternalStore. */
export class NoticeStore {
  private readonly listeners = new Set<() => void>();
  private readonly timers = new Map<number, ReturnType<typeof setTimeout>>();
  private toasts: readonly Toast[] = [];
  private nextId = 1;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): readonly Toast[] => this.toasts;

  show(tone: Toast['tone'], text: string): void {
    for (const toast of this.toasts) {
      if (toast.text === text) this.dismiss(toast.id);
    }
    const id = this.nextId++;
    for (const old of this.toasts.slice(0, Math.max(0, this.toasts.length - limit + 1))) this.dismiss(old.id);
    this.set([...this.toasts, { id, tone, text }]);
    this.timers.set(
      id,
      setTimeout(() => this.dismiss(id), stay[tone]),
    );
  }

  dismiss = (id: number): void => {
    clearTimeout(this.timers.get(id));
    this.timers.delete(id);
    this.set(this.toasts.filter((toast) => toast.id !== id));
  };

  close(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  private set(toasts: readonly Toast[]): void {
    this.toasts = toasts;
    for (const listener of this.listeners) listener();
  }
}

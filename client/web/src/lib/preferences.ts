import { useSyncExternalStore } from 'react';
import { languages, type Language } from '../i18n';

export type Theme = 'system' | 'light' | 'dark';

/** What the browser remembers for one person on one machine. */
export interface Preferences {
  name: string;
  language: Language;
  theme: Theme;
  micOn: boolean;
  cameraOn: boolean;
  micId: string;
  cameraId: string;
  speakerId: string;
}

export const defaultPreferences: Preferences = {
  name: '',
  language: 'vi',
  theme: 'system',
  micOn: true,
  cameraOn: true,
  micId: '',
  cameraId: '',
  speakerId: '',
};

const key = 'diemcau.preferences';
const listeners = new Set<() => void>();
let current: Preferences | undefined;

/** Keeps what is well formed of stored JSON and takes the default for the rest. */
export function parsePreferences(json: string | null): Preferences {
  let stored: Record<string, unknown> = {};
  try {
    const value: unknown = JSON.parse(json ?? '{}');
    if (typeof value === 'object' && value !== null) stored = value as Record<string, unknown>;
  } catch {
    // Unreadable: every preference falls back to its default.
  }
  const text = (name: keyof Preferences, fallback: string) => {
    const value = stored[name];
    return typeof value === 'string' ? value : fallback;
  };
  const flag = (name: keyof Preferences, fallback: boolean) => {
    const value = stored[name];
    return typeof value === 'boolean' ? value : fallback;
  };
  const language = text('language', '');
  const theme = text('theme', '');
  return {
    name: text('name', ''),
    language: languages.find((known) => known === language) ?? defaultPreferences.language,
    theme: theme === 'light' || theme === 'dark' ? theme : 'system',
    micOn: flag('micOn', true),
    cameraOn: flag('cameraOn', true),
    micId: text('micId', ''),
    cameraId: text('cameraId', ''),
    speakerId: text('speakerId', ''),
  };
}

/** The preferences now. Works without storage too (private windows): they then last as long as the page. */
export function getPreferences(): Preferences {
  if (current === undefined) {
    let json: string | null = null;
    try {
      json = localStorage.getItem(key);
    } catch {
      // Storage is switched off in this browser.
    }
    current = parsePreferences(json);
  }
  return current;
}

export function setPreferences(change: Partial<Preferences>): void {
  current = { ...getPreferences(), ...change };
  try {
    localStorage.setItem(key, JSON.stringify(current));
  } catch {
    // Storage is full or switched off: the choice lasts as long as the page.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(subscribe, getPreferences);
}

/** Puts the theme on the document; `system` follows the machine, also when it changes. Returns a stop function. */
export function applyTheme(theme: Theme): () => void {
  const dark = window.matchMedia?.('(prefers-color-scheme: dark)');
  const apply = () => {
    document.documentElement.dataset.theme = theme === 'system' ? (dark?.matches ? 'dark' : 'light') : theme;
  };
  apply();
  dark?.addEventListener('change', apply);
  return () => dark?.removeEventListener('change', apply);
}

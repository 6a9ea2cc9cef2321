import { useEffect, useRef } from 'react';

/** Whether a key press belongs to something that takes text or to an open dialog. */
function isTaken(event: KeyboardEvent): boolean {
  const target = event.target instanceof Element ? event.target : undefined;
  return Boolean(target?.closest('input, textarea, select, [contenteditable], [role="dialog"], [role="alertdialog"], [role="listbox"]'));
}

/** Single keys for the whole page, by lower-case letter. Not while typing, nor with Ctrl, Alt or Meta, nor while held down. */
export function useShortcuts(actions: Readonly<Record<string, () => void>>): void {
  const latest = useRef(actions);
  useEffect(() => {
    latest.current = actions;
  });
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing || isTaken(event)) return;
      latest.current[event.key.toLowerCase()]?.();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
}

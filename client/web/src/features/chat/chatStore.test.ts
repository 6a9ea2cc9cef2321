import type { Room, TextStreamHandler } from 'livekit-client';
import { expect, it, vi } from 'vitest';
import { ChatStore, maxMessage } from './chatStore';

function fixture() {
  let handler: TextStreamHandler | undefined;
  const sendText = vi.fn<(text: string, options: object) => Promise<unknown>>(() => Promise.resolve({}));
  const room = {
    registerTextStreamHandler: (_topic: string, callback: TextStreamHandler) => (handler = callback),
    unregisterTextStreamHandler: () => (handler = undefined),
    getParticipantByIdentity: (identity: string) => (identity === 'an' ? { name: 'Phạm An' } : undefined),
    localParticipant: { identity: 'me', name: 'Tôi', sendText },
    on: vi.fn(),
    off: vi.fn(),
  };
  const store = new ChatStore(room as unknown as Room);
  const arrive = async (id: string, from: string, text: string) => {
    handler?.({ info: { id }, readAll: () => Promise.resolve(text) } as never, { identity: from });
    await Promise.resolve();
  };
  return { store, sendText, arrive, connected: () => handler !== undefined };
}

it('counts what arrives unseen and forgets it when read', async () => {
  const { store, arrive } = fixture();
  await arrive('1', 'an', 'Chào các đồng chí');
  await arrive('2', 'x', 'ok');
  expect(store.snapshot().unread).toBe(2);
  expect(store.snapshot().messages.map(({ name, text, mine }) => [name, text, mine])).toEqual([
    ['Phạm An', 'Chào các đồng chí', false],
    ['x', 'ok', false],
  ]);
  store.setOpen(true);
  await arrive('3', 'an', 'nữa');
  expect(store.snapshot().unread).toBe(0);
});

it('shows a message once, and no empty one', async () => {
  const { store, arrive } = fixture();
  await arrive('1', 'an', 'a');
  await arrive('1', 'an', 'a');
  await arrive('2', 'an', '   ');
  expect(store.snapshot().messages).toHaveLength(1);
});

it('sends on the common topic and cuts what is too long', async () => {
  const { store, sendText } = fixture();
  await store.send(`  ${'ệ'.repeat(maxMessage + 5)}`);
  await store.send('   ');
  expect(sendText.mock.calls).toEqual([['ệ'.repeat(maxMessage), { topic: 'lk.chat' }]]);
  expect(store.snapshot().messages[0]?.state).toBe('sent');
});

it('keeps a message that did not get out, and sends it again when asked', async () => {
  const { store, sendText } = fixture();
  sendText.mockRejectedValueOnce(new Error('no channel'));
  await store.send('quan trọng');
  const failed = store.snapshot().messages[0];
  expect(failed?.state).toBe('failed');
  await store.resend(failed?.id ?? '');
  expect(store.snapshot().messages.map(({ text, state }) => [text, state])).toEqual([['quan trọng', 'sent']]);
  expect(sendText).toHaveBeenCalledTimes(2);
});

it('stops listening when closed', () => {
  const { store, connected } = fixture();
  store.close();
  expect(connected()).toBe(false);
});

// What the server must refuse, as the stock client sees it.
import assert from 'node:assert/strict';
import test from 'node:test';

import { fixture } from '../lib/fixture.mjs';
import { newRoom } from '../lib/peer.mjs';
import { accessToken } from '../lib/token.mjs';

const the = fixture();
const notAllowed = 2; // RequestResponse.Reason.NOT_ALLOWED

const badTokens = [
  ['no token', () => ''],
  ['not a token', () => 'kein.token.hier'],
  ['another secret', () => accessToken({ key: the.server.key, secret: 'another-secret-another-secret-another', identity: 'x', room: 'r' })],
  ['an unknown key', () => accessToken({ key: 'nobody', secret: the.server.secret, identity: 'x', room: 'r' })],
  ['expired', () => the.server.token({ identity: 'x', room: 'r', ttl: -120 })],
  ['no right to join', () => the.server.token({ identity: 'x', room: 'r', video: { roomJoin: false } })],
];

for (const singlePeerConnection of [false, true]) {
  for (const [what, make] of badTokens) {
    const how = singlePeerConnection ? 'one peer connection' : 'two peer connections';
    test(`token refused: ${what}, ${how}`, { timeout: 30_000 }, async () => {
      await the.peers(['chromium'], async (peer) => {
        const result = await peer.call('join', the.server.url, make(), { room: { singlePeerConnection } });
        assert.equal(result.ok, false);
        assert.equal(result.error.name, 'ConnectionError');
        assert.equal(result.error.reasonName, 'NotAllowed', JSON.stringify(result.error));
        assert.ok([401, 403].includes(result.error.status), JSON.stringify(result.error));
        assert.ok(result.error.message.length > 0);
      });
    });
  }
}

for (const singlePeerConnection of [false, true]) {
  const options = { room: { singlePeerConnection } };
  const how = singlePeerConnection ? 'one peer connection' : 'two peer connections';

  test(`the same identity again ends the first session, ${how}`, { timeout: 60_000 }, async () => {
    await the.peers(['chromium', 'chromium', 'chromium'], async (first, second, watcher) => {
      const room = newRoom();
      await watcher.join({ room, identity: 'watcher', options });
      await first.join({ room, identity: 'twin', options });
      await second.join({ room, identity: 'twin', options });
      await first.event('disconnected', (e) => e.reasonName === 'DUPLICATE_IDENTITY');
      assert.equal(await first.call('state'), 'disconnected');
      await second.publishBoth();
      await watcher.seesAndHears('twin');
      assert.equal((await watcher.call('participants')).length, 1);
      assert.equal(await second.call('state'), 'connected');
    });
  });

  test(`without the right to publish, ${how}`, { timeout: 60_000 }, async () => {
    await the.peers(['chromium', 'chromium'], async (guest, speaker) => {
      const room = newRoom();
      await guest.join({ room, identity: 'guest', options, video: { canPublish: false } });
      await speaker.join({ room, identity: 'speaker', options });
      const polite = await guest.call('tryPublish');
      assert.equal(polite.ok, false);
      assert.match(polite.error.message, /permission/i);
      // A client that does not ask its own conscience: the server says no.
      await guest.call('publishAnyway');
      const refusal = await guest.event('requestResponse', (e) => e.request === 'addTrack');
      assert.equal(refusal.reason, notAllowed);
      // It still sees and hears.
      await speaker.publishBoth();
      await guest.seesAndHears('speaker');
      assert.deepEqual((await speaker.call('participants'))[0].tracks, []);
      assert.ok(!(await guest.call('events')).some((e) => e.type === 'published'), 'the server let it publish');
    });
  });
}

test('without the right to subscribe nothing is received', { timeout: 60_000 }, async () => {
  await the.peers(['chromium', 'chromium', 'chromium'], async (blind, speaker, watcher) => {
    const room = newRoom();
    await blind.join({ room, identity: 'blind', video: { canSubscribe: false } });
    await watcher.join({ room, identity: 'watcher' });
    await speaker.join({ room, identity: 'speaker' });
    await speaker.publishBoth();
    await watcher.seesAndHears('speaker');
    assert.equal(await blind.call('inbound', 'speaker', 'camera'), null);
    assert.equal(await blind.call('inbound', 'speaker', 'microphone'), null);
  });
});

test('without the right to send data nobody gets any', { timeout: 60_000 }, async () => {
  await the.peers(['chromium', 'chromium', 'chromium'], async (silent, other, watcher) => {
    const room = newRoom();
    await silent.join({ room, identity: 'silent', video: { canPublishData: false } });
    await other.join({ room, identity: 'other' });
    await watcher.join({ room, identity: 'watcher' });
    await silent.call('sendData', 'lén', { reliable: true, topic: 'x' });
    // What the other sends afterwards arrives; had the first been let through, it would be there too.
    await other.call('sendData', 'được phép', { reliable: true, topic: 'x' });
    await watcher.event('data', (e) => e.text === 'được phép');
    assert.deepEqual((await watcher.call('events')).filter((e) => e.text === 'lén'), []);
  });
});

// Screen shares: captured by the browser, and a drawn picture as the source where the
// browser has no screen to capture.
import assert from 'node:assert/strict';
import test from 'node:test';

import { fixture } from '../lib/fixture.mjs';
import { newRoom } from '../lib/peer.mjs';

const the = fixture({ firefox: true });

test('a captured screen beside the camera, until it is stopped', { timeout: 60_000 }, async () => {
  await the.peers(['chromium', 'chromium'], async (presenter, watcher) => {
    const room = newRoom();
    await presenter.join({ room, identity: 'presenter' });
    await watcher.join({ room, identity: 'watcher' });
    await presenter.call('publishCamera');
    const share = await presenter.call('publishScreen');
    assert.ok(share.ok, JSON.stringify(share));
    await watcher.sees('presenter', 'screen_share');
    await watcher.sees('presenter', 'camera');
    const [screen, camera] = [
      await watcher.call('inbound', 'presenter', 'screen_share'),
      await watcher.call('inbound', 'presenter', 'camera'),
    ];
    assert.notEqual(screen.ssrc, camera.ssrc);

    await presenter.call('unpublishScreen');
    await watcher.event('trackUnpublished', (e) => e.source === 'screen_share');
    await watcher.sees('presenter', 'camera');
    // The freed media section serves the next share.
    assert.ok((await presenter.call('publishScreen')).ok);
    await watcher.sees('presenter', 'screen_share');
  });
});

for (const [from, to] of [['firefox', 'chromium'], ['chromium', 'firefox']]) {
  test(`a drawn screen from ${from} to ${to}`, { timeout: 60_000 }, async () => {
    await the.peers([from, to], async (presenter, watcher) => {
      const room = newRoom();
      await presenter.join({ room, identity: 'presenter' });
      await watcher.join({ room, identity: 'watcher' });
      await presenter.call('publishCanvas', { source: 'screen_share', text: 'Chương trình họp' });
      await watcher.sees('presenter', 'screen_share');
      const { frameWidth, frameHeight } = await watcher.call('inbound', 'presenter', 'screen_share');
      assert.ok(Math.abs(frameWidth / frameHeight - 16 / 9) < 0.02, `${frameWidth}x${frameHeight}`);
    });
  });
}

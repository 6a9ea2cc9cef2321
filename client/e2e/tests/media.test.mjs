// Stock livekit-client in both browsers, with one and with two peer connections:
// everybody sees and hears everybody.
import assert from 'node:assert/strict';
import test from 'node:test';

import { fixture } from '../lib/fixture.mjs';
import { newRoom } from '../lib/peer.mjs';

const the = fixture({ firefox: true });

const pairs = [['chromium', 'firefox'], ['firefox', 'chromium'], ['chromium', 'chromium']];

for (const singlePeerConnection of [false, true]) {
  for (const [publisher, late] of pairs) {
    const how = singlePeerConnection ? 'one peer connection' : 'two peer connections';
    test(`${how}: ${publisher} publishes, ${late} joins late and publishes back`, { timeout: 60_000 }, async () => {
      await the.peers([publisher, late], async (first, second) => {
        const room = newRoom();
        const options = { room: { singlePeerConnection } };
        const joined = await first.join({ room, identity: 'first', options });
        assert.equal(joined.onePeerConnection, singlePeerConnection);
        await first.publishBoth();
        // The second finds tracks that already exist; its own are new to the first.
        await second.join({ room, identity: 'second', options });
        await second.seesAndHears('first');
        await second.publishBoth();
        await first.seesAndHears('second');
        const events = [...await first.call('events'), ...await second.call('events')];
        assert.deepEqual(events.filter((e) => /reconnecting|SubscriptionFailed|disconnected/.test(e.type)), []);
      });
    });
  }
}

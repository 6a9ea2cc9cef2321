// Lines that break: the signal socket lost and resumed, a full reconnect, a reloaded page.
import assert from 'node:assert/strict';
import test from 'node:test';

import { fixture } from '../lib/fixture.mjs';
import { newRoom } from '../lib/peer.mjs';
import { until } from '../lib/poll.mjs';

const the = fixture({ firefox: true });

async function twoInConversation(one, two, room, singlePeerConnection) {
  const options = { room: { singlePeerConnection } };
  await one.join({ room, identity: 'one', options });
  await two.join({ room, identity: 'two', options });
  await one.publishBoth();
  await two.publishBoth();
  await one.seesAndHears('two');
  await two.seesAndHears('one');
}

const cases = [['chromium', false], ['chromium', true], ['firefox', false], ['firefox', true]];

for (const [browser, singlePeerConnection] of cases) {
  const how = `${browser}, ${singlePeerConnection ? 'one peer connection' : 'two peer connections'}`;

  test(`the signal socket drops and is resumed: ${how}`, { timeout: 90_000 }, async () => {
    await the.peers([browser, 'chromium'], async (one, two) => {
      const room = newRoom();
      await twoInConversation(one, two, room, singlePeerConnection);
      const sid = await one.call('sid');
      const [mine, theirs] = [await one.eventCount(), await two.eventCount()];
      const decoded = (await one.call('inbound', 'two', 'camera')).framesDecoded;

      await one.call('simulate', 'signal-reconnect');
      await one.event('reconnected', undefined, { after: mine, within: 20_000 });

      assert.equal(await one.call('sid'), sid, 'the same participant goes on');
      await one.seesAndHears('two');
      await two.seesAndHears('one');
      assert.ok((await one.call('inbound', 'two', 'camera')).framesDecoded > decoded, 'the same receiver goes on');
      // Signalling works again in both directions.
      await one.call('setMuted', 'camera', true);
      await two.event('trackMuted', (e) => e.identity === 'one', { after: theirs });
      await two.call('sendData', 'sau khi nối lại', { reliable: true });
      await one.event('data', (e) => e.text === 'sau khi nối lại', { after: mine });
      const noticed = (await two.call('events')).slice(theirs).map((e) => e.type);
      assert.ok(!noticed.includes('participantDisconnected') && !noticed.includes('trackUnsubscribed'), `the other noticed: ${noticed}`);
    });
  });

  test(`full reconnect: ${how}`, { timeout: 90_000 }, async () => {
    await the.peers([browser, 'chromium'], async (one, two) => {
      await twoInConversation(one, two, newRoom(), singlePeerConnection);
      const sid = await one.call('sid');
      const after = await one.eventCount();
      await one.call('simulate', 'full-reconnect');
      await one.event('reconnected', undefined, { after, within: 20_000 });
      assert.notEqual(await one.call('sid'), sid, 'a new participant session');
      await one.seesAndHears('two');
      await two.seesAndHears('one');
      assert.equal((await two.call('participants')).length, 1, 'no ghost of the first session');
    });
  });
}

test('reload the page and come back', { timeout: 60_000 }, async () => {
  await the.peers(['chromium', 'chromium'], async (one, two) => {
    const room = newRoom();
    await twoInConversation(one, two, room, true);
    const after = await two.eventCount();
    await one.tab.reload();
    await one.join({ room, identity: 'one' });
    await one.publishBoth();
    await two.event('participantConnected', (e) => e.identity === 'one', { after });
    await one.seesAndHears('two');
    await two.seesAndHears('one');
    assert.equal((await two.call('participants')).length, 1);
  });
});

test('a page that dies without a word is removed', { timeout: 90_000 }, async () => {
  await the.peers(['chromium', 'chromium'], async (stays, dies) => {
    await twoInConversation(stays, dies, newRoom(), true);
    // Navigating away with the leave message suppressed: only the sockets end.
    await dies.tab.evaluate(() => {
      window.room.engine.client.sendLeave = async () => {};
    });
    await dies.tab.goto('about:blank');
    await stays.event('participantDisconnected', (e) => e.identity === 'two', { within: 45_000 });
    await until('nobody else is left', async () => (await stays.call('participants')).length === 0);
  });
});

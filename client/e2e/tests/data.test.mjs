// Everything that is not media: data packets, text, calls, mute, who is who, who speaks.
import assert from 'node:assert/strict';
import test from 'node:test';

import { fixture } from '../lib/fixture.mjs';
import { newRoom } from '../lib/peer.mjs';
import { until } from '../lib/poll.mjs';

const the = fixture({ firefox: true });
const greeting = 'Kính mời điểm cầu xã Ngọc Chiến phát biểu ạ — đã nghe rõ';

for (const singlePeerConnection of [false, true]) {
  const how = singlePeerConnection ? 'one peer connection' : 'two peer connections';
  test(`data and text both ways, ${how}`, { timeout: 60_000 }, async () => {
    await the.peers(['chromium', 'firefox'], async (chromium, firefox) => {
      const room = newRoom();
      const options = { room: { singlePeerConnection } };
      await chromium.join({ room, identity: 'chromium', options });
      await firefox.join({ room, identity: 'firefox', options });
      for (const [from, to] of [[chromium, firefox], [firefox, chromium]]) {
        await until(`${from.identity} knows ${to.identity}`, async () =>
          (await from.call('participants')).some((p) => p.identity === to.identity));
        await from.call('sendData', greeting, { reliable: true, topic: 'r' });
        await from.call('sendData', greeting, { reliable: false, topic: 'l' });
        await from.call('sendText', greeting);
        const isMine = (topic) => (e) => e.topic === topic && e.identity === from.identity && e.text === greeting;
        await to.event('data', isMine('r'));
        await to.event('data', isMine('l'));
        await to.event('chat', (e) => e.identity === from.identity && e.text === greeting);
        assert.equal(await from.call('rpc', to.identity, 'chào'), `${from.identity}: chào`);
      }
    });
  });
}

test('reliable packets come all, in order, and only to whom they are sent', { timeout: 60_000 }, async () => {
  await the.peers(['chromium', 'chromium', 'chromium'], async (sender, wanted, other) => {
    const room = newRoom();
    for (const [peer, identity] of [[sender, 'sender'], [wanted, 'wanted'], [other, 'other']]) await peer.join({ room, identity });
    await until('everybody is there', async () => (await sender.call('participants')).length === 2);
    const large = 'ư'.repeat(6_000); // 12 kB each: several SCTP chunks
    for (let i = 0; i < 50; i += 1) await sender.call('sendData', `${i}:${large}`, { reliable: true, topic: 'n', to: ['wanted'] });
    await sender.call('sendData', 'end', { reliable: true, topic: 'end' });
    await wanted.event('data', (e) => e.topic === 'end');
    await other.event('data', (e) => e.topic === 'end');
    const got = (await wanted.call('events')).filter((e) => e.topic === 'n');
    assert.deepEqual(got.map((e) => Number(e.text.split(':')[0])), Array.from({ length: 50 }, (_, i) => i));
    assert.ok(got.every((e) => e.text.endsWith(large)));
    assert.deepEqual((await other.call('events')).filter((e) => e.topic === 'n'), []);
  });
});

test('mute and unmute are seen, and silence follows', { timeout: 60_000 }, async () => {
  await the.peers(['chromium', 'firefox'], async (speaker, listener) => {
    const room = newRoom();
    await speaker.join({ room, identity: 'speaker' });
    await listener.join({ room, identity: 'listener' });
    await speaker.publishBoth();
    await listener.seesAndHears('speaker');
    for (const source of ['microphone', 'camera']) {
      await speaker.call('setMuted', source, true);
      await listener.event('trackMuted', (e) => e.identity === 'speaker' && e.source === source);
    }
    let last;
    await until('no more frames', async () => {
      const { framesDecoded } = await listener.call('inbound', 'speaker', 'camera');
      const still = framesDecoded === last;
      last = framesDecoded;
      return still;
    }, { every: 700 });
    // Someone who comes later finds them muted.
    await the.peers(['chromium'], async (late) => {
      await late.join({ room, identity: 'late' });
      await until('muted from the start', async () => {
        const found = (await late.call('participants')).find((p) => p.identity === 'speaker');
        return found?.tracks.length === 2 && found.tracks.every((track) => track.muted);
      });
    });
    for (const source of ['microphone', 'camera']) {
      await speaker.call('setMuted', source, false);
      await listener.event('trackUnmuted', (e) => e.identity === 'speaker' && e.source === source);
    }
    await listener.seesAndHears('speaker');
  });
});

test('name, metadata and attributes: from the token, and changed', { timeout: 60_000 }, async () => {
  await the.peers(['chromium', 'firefox'], async (one, two) => {
    const room = newRoom();
    await one.join({ room, identity: 'one', name: 'Điểm cầu xã Ngọc Chiến', metadata: '{"xã":1}', attributes: { unit: 'NC' } });
    await two.join({ room, identity: 'two' });
    const [seen] = await until('the other is there', async () => {
      const all = await two.call('participants');
      return all.length === 1 && all;
    });
    assert.equal(seen.name, 'Điểm cầu xã Ngọc Chiến');
    assert.equal(seen.metadata, '{"xã":1}');
    assert.deepEqual(seen.attributes, { unit: 'NC' });

    await one.call('describeMyself', { name: 'Nguyễn Thị Hường', metadata: 'mới', attributes: { hand: 'raised' } });
    const fromOne = (value) => (e) => e.identity === 'one' && (value === undefined || e.value === value);
    await two.event('name', fromOne('Nguyễn Thị Hường'));
    await two.event('metadata', fromOne('mới'));
    await two.event('attributes', (e) => e.identity === 'one' && e.value.hand === 'raised');
    const [changed] = await two.call('participants');
    assert.deepEqual(changed.attributes, { unit: 'NC', hand: 'raised' });
  });
});

test('who speaks is told to the others and to the speaker', { timeout: 60_000 }, async () => {
  await the.peers(['chromium', 'firefox'], async (speaker, listener) => {
    const room = newRoom();
    await listener.join({ room, identity: 'listener' });
    await speaker.join({ room, identity: 'speaker' });
    await speaker.call('publishTone');
    const speaks = (e) => e.identities.includes('speaker');
    await listener.event('speakers', speaks);
    await speaker.event('speakers', speaks);
    const after = await listener.eventCount();
    await speaker.call('setMuted', 'microphone', true);
    await listener.event('speakers', (e) => !speaks(e), { after });
  });
});

test('a participant that leaves is gone for the others', { timeout: 60_000 }, async () => {
  await the.peers(['chromium', 'chromium'], async (stays, goes) => {
    const room = newRoom();
    await stays.join({ room, identity: 'stays' });
    await goes.join({ room, identity: 'goes' });
    await goes.publishBoth();
    await stays.seesAndHears('goes');
    await goes.call('leave');
    await goes.event('disconnected', (e) => e.reasonName === 'CLIENT_INITIATED');
    await stays.event('participantDisconnected', (e) => e.identity === 'goes');
    assert.deepEqual(await stays.call('participants'), []);
  });
});

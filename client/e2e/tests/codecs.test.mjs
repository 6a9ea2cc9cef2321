// Codecs whose layers come in one stream (VP9 and AV1 with a dependency descriptor),
// redundant audio, and a backup codec for who cannot take the first.
import assert from 'node:assert/strict';
import test from 'node:test';

import { fixture } from '../lib/fixture.mjs';
import { newRoom } from '../lib/peer.mjs';
import { measureFor, until } from '../lib/poll.mjs';

const the = fixture();

const sizes = { LOW: 320, MEDIUM: 640, HIGH: 1280 };
const patience = { within: 45_000 };
const longestFreeze = 600; // ms between two shown frames
const changeWithin = 3_000; // ms until the wanted size is shown

const inbound = (peer, source = 'camera') => peer.call('inbound', 'camera', source);

/** Waits until a watcher is shown the picture in the given width, and frames go on coming. */
function sees(watcher, width, source = 'camera') {
  let before;
  return until(`${watcher.identity} sees ${source} ${width} wide`, async () => {
    const stats = await inbound(watcher, source);
    const goesOn = before !== undefined && stats.framesDecoded > before;
    before = stats?.framesDecoded;
    return stats?.frameWidth === width && goesOn && stats;
  }, patience);
}

/** What a watcher is shown from `since` on: the longest time without a frame, and the widths. */
async function shownSince(watcher, since) {
  const shown = await watcher.call('frames', 'camera', 'camera', since);
  return {
    count: shown.length,
    longestGap: Math.round(Math.max(...shown.slice(1).map((frame, i) => frame.at - shown[i].at))),
    widths: [...new Set(shown.map((frame) => frame.width))],
  };
}

async function change(t, watcher, quality) {
  const before = await inbound(watcher);
  const since = await watcher.call('askQuality', 'camera', 'camera', quality);
  const reached = await until(`${quality} arrives`, async () =>
    (await watcher.call('frames', 'camera', 'camera', since)).find((frame) => frame.width === sizes[quality]), patience);
  await measureFor(1_500);
  const seen = await shownSince(watcher, since);
  const after = await inbound(watcher);
  const took = Math.round(reached.at - since);
  const pli = after.pliCount - before.pliCount;
  t.diagnostic(`${quality}: took ${took} ms, ${JSON.stringify(seen)}, PLI ${pli}`);
  assert.ok(took <= changeWithin, `${quality} took ${took} ms`);
  assert.ok(seen.longestGap <= longestFreeze, `${quality}: the picture stood still for ${seen.longestGap} ms`);
  assert.equal(after.packetsLost - before.packetsLost, 0, 'packets lost on loopback');
  assert.ok(pli <= 1, `${quality}: ${pli} key frames asked for`);
}

async function publish(publisher, room, camera) {
  await publisher.join({ room, identity: 'camera', options: { room: { dynacast: true } } });
  await publisher.call('publishCamera', { width: 1280, height: 720, fps: 15, maxBitrate: 1_700_000, ...camera });
}

for (const [codec, singlePeerConnection] of [['vp9', true], ['av1', false]]) {
  test(`${codec}: three sizes out of one stream`, { timeout: 180_000 }, async (t) => {
    await the.peers(['chromium', 'chromium', 'chromium', 'chromium'], async (publisher, ...watchers) => {
      const room = newRoom();
      await publish(publisher, room, { codec });
      const wanted = Object.keys(sizes);
      for (const [i, watcher] of watchers.entries()) {
        await watcher.join({ room, identity: wanted[i], options: { room: { singlePeerConnection } } });
        await until('the camera is there', () => inbound(watcher), patience);
        await watcher.call('askQuality', 'camera', 'camera', wanted[i]);
      }
      await Promise.all(watchers.map((watcher, i) => sees(watcher, sizes[wanted[i]])));
      const [sent] = await publisher.call('outbound', 'camera');
      assert.match(sent.scalabilityMode, /^L3T3_KEY$/);

      await t.test('all at once and without cries for key frames', async (t) => {
        const before = await Promise.all(watchers.map((watcher) => inbound(watcher)));
        const since = await Promise.all(watchers.map((watcher) => watcher.call('now')));
        await measureFor(5_000);
        for (const [i, watcher] of watchers.entries()) {
          const after = await inbound(watcher);
          const seen = await shownSince(watcher, since[i]);
          t.diagnostic(`${wanted[i]}: ${JSON.stringify(seen)}, ${after.bytesReceived - before[i].bytesReceived} bytes`);
          assert.equal(after.codec.toLowerCase(), `video/${codec}`);
          assert.deepEqual(seen.widths, [sizes[wanted[i]]]);
          assert.ok(seen.longestGap <= longestFreeze, `${wanted[i]} stood still for ${seen.longestGap} ms`);
          assert.ok(after.pliCount - before[i].pliCount <= 1, 'key frames asked for');
          assert.equal(after.packetsLost - before[i].packetsLost, 0, 'packets lost on loopback');
          assert.equal(after.framesDropped - before[i].framesDropped, 0, 'frames that could not be decoded');
        }
      });
      await t.test('down and up', async (t) => {
        const watcher = watchers[2];
        for (const quality of ['LOW', 'MEDIUM', 'HIGH', 'LOW', 'HIGH']) await change(t, watcher, quality);
      });
      await t.test('fewer frames', async (t) => {
        const watcher = watchers[0];
        const rate = async () => {
          const since = await watcher.call('now');
          await measureFor(2_000);
          const seen = await shownSince(watcher, since);
          return { ...seen, fps: seen.count / 2 };
        };
        const full = await rate();
        await watcher.call('askFrameRate', 'camera', 'camera', 4);
        const few = await until('fewer frames', async () => {
          const now = await rate();
          return now.fps <= full.fps * 0.6 && now;
        }, patience);
        t.diagnostic(`${full.fps} frames a second, then ${few.fps}`);
        assert.ok(few.fps >= 2, `${few.fps} frames a second`);
        assert.ok(few.longestGap <= longestFreeze, `stood still for ${few.longestGap} ms`);
      });
    });
  });
}

test('a shared screen in VP9, one size and three frame rates', { timeout: 90_000 }, async () => {
  await the.peers(['chromium', 'chromium'], async (publisher, watcher) => {
    const room = newRoom();
    await publisher.join({ room, identity: 'camera' });
    await publisher.call('publishCanvas', { videoCodec: 'vp9', backupCodec: false, fps: 10 });
    await watcher.join({ room, identity: 'watcher' });
    const stats = await sees(watcher, 1280, 'screen_share');
    assert.equal(stats.codec, 'video/VP9');
    const [sent] = await publisher.call('outbound', 'screen_share');
    assert.equal(sent.scalabilityMode, 'L1T3');
  });
});

// Chromium names Opus as the codec whether it comes in RED or not. But of what comes
// twice it discards one, so that shows what is on the wire.
test('redundant audio for who takes it, plain for who does not', { timeout: 60_000 }, async (t) => {
  await the.peers(['chromium', 'chromium', 'chromium'], async (publisher, withRED, without) => {
    const room = newRoom();
    await publisher.join({ room, identity: 'camera' });
    await publisher.call('publishTone');
    await withRED.join({ room, identity: 'with RED' });
    await without.call('takeOnly', ['audio/opus']);
    await without.join({ room, identity: 'without RED' });
    await Promise.all([withRED.hears('camera'), without.hears('camera')]);
    const shareTwice = async (watcher) => {
      const before = await inbound(watcher, 'microphone');
      const after = await until('200 packets', async () => {
        const now = await inbound(watcher, 'microphone');
        return now.packetsReceived - before.packetsReceived >= 200 && now;
      });
      t.diagnostic(`${watcher.identity}: ${after.bytesReceived - before.bytesReceived} bytes, ` +
        `${after.packetsDiscarded - before.packetsDiscarded} discarded`);
      const concealed = (after.concealedSamples - before.concealedSamples) / (after.totalSamplesReceived - before.totalSamplesReceived);
      assert.ok(concealed < 0.05, `${concealed} of the sound was made up`);
      return (after.packetsDiscarded - before.packetsDiscarded) / (after.packetsReceived - before.packetsReceived);
    };
    assert.ok(await shareTwice(withRED) > 0.9);
    assert.ok(await shareTwice(without) < 0.1);
  });
});

for (const [policy, firstStays, singlePeerConnection] of [
  ['SIMULCAST', true, false], ['PREFER_REGRESSION', false, true], ['PREFER_REGRESSION', false, false],
]) {
  const how = singlePeerConnection ? 'one peer connection' : 'two peer connections';
  test(`a watcher that takes VP8 only gets the backup codec: ${policy}, ${how}`, { timeout: 120_000 }, async () => {
    await the.peers(['chromium', 'chromium', 'chromium'], async (publisher, first, other) => {
      const room = newRoom();
      const backupPolicy = { PREFER_REGRESSION: 0, SIMULCAST: 1 }[policy];
      await publish(publisher, room, { codec: 'vp9', backup: 'vp8', backupPolicy, simulcast: true });
      await first.join({ room, identity: 'first' });
      await first.sees('camera', 'camera', 45_000);
      assert.equal((await inbound(first)).codec, 'video/VP9');

      await other.call('takeOnly', ['video/VP8']);
      await other.join({ room, identity: 'other', options: { room: { singlePeerConnection } } });
      await other.sees('camera', 'camera', 45_000);
      assert.equal((await inbound(other)).codec, 'video/VP8');
      const wanted = firstStays ? 'video/VP9' : 'video/VP8';
      await until(`the first watcher gets ${wanted}`, async () => (await inbound(first)).codec === wanted, patience);
      await first.sees('camera');
    });
  });
}

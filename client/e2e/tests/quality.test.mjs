// A subscriber chooses among the layers of a simulcast picture: the wanted width comes
// soon, and the picture never stands still on the way.
import assert from 'node:assert/strict';
import test from 'node:test';

import { fixture } from '../lib/fixture.mjs';
import { newRoom } from '../lib/peer.mjs';
import { measureFor, until } from '../lib/poll.mjs';

const the = fixture({ firefox: true });

const switchWithin = 2_000; // ms until the first frame of the wanted layer is shown
const longestFreeze = 500; // ms between two shown frames
const settle = 1_500; // ms measured after the switch, so that a late freeze counts

/** Asks for a layer, and measures from the asking until `settle` ms after its first frame. */
async function change(watcher, ask, wanted, what) {
  const before = await watcher.call('inbound', 'camera', 'camera');
  const since = await ask();
  const reached = await until(what, async () => {
    const shown = await watcher.call('frames', 'camera', 'camera', since);
    return shown.find((frame) => wanted(frame.width));
  }, { within: switchWithin * 5 });
  await measureFor(settle);
  const shown = await watcher.call('frames', 'camera', 'camera', since);
  const after = await watcher.call('inbound', 'camera', 'camera');
  const gaps = shown.slice(1).map((frame, i) => frame.at - shown[i].at);
  // RTP time between two shown frames, in ms (90 kHz, 32 bits that wrap).
  const steps = shown.slice(1).map((frame, i) => ((frame.media - shown[i].media) | 0) / 90);
  return {
    what,
    took: Math.round(reached.at - since),
    longestGap: Math.round(Math.max(...gaps)),
    longestStep: Math.round(Math.max(...steps)),
    backwards: steps.filter((step) => step <= 0).length,
    relapses: shown.filter((frame) => frame.at > reached.at && !wanted(frame.width)).length,
    frames: shown.length,
    dropped: after.framesDropped - before.framesDropped,
    freezes: after.freezeCount - before.freezeCount,
    frozen: after.totalFreezesDuration - before.totalFreezesDuration,
    keyFrames: after.keyFramesDecoded - before.keyFramesDecoded,
    pli: after.pliCount - before.pliCount,
    nack: after.nackCount - before.nackCount,
    lost: after.packetsLost - before.packetsLost,
  };
}

function check(t, seen) {
  t.diagnostic(JSON.stringify(seen));
  assert.ok(seen.took <= switchWithin, `${seen.what} took ${seen.took} ms`);
  assert.ok(seen.longestGap <= longestFreeze, `${seen.what}: the picture stood still for ${seen.longestGap} ms`);
  assert.ok(seen.frozen * 1000 <= longestFreeze, `${seen.what}: frozen for ${seen.frozen} s`);
  assert.equal(seen.backwards, 0, `${seen.what}: RTP time must go forward`);
  assert.ok(seen.longestStep <= longestFreeze, `${seen.what}: RTP time jumped by ${seen.longestStep} ms`);
  assert.equal(seen.relapses, 0, `${seen.what}: frames of another layer after the switch`);
  assert.equal(seen.lost, 0, `${seen.what}: packets lost on loopback`);
}

async function publishThreeLayers(publisher, watcher, room, codec, singlePeerConnection) {
  const options = { room: { singlePeerConnection } };
  await publisher.join({ room, identity: 'camera', options });
  await publisher.call('publishCamera', {
    simulcast: true, codec, width: 1280, height: 720, fps: 20, maxBitrate: 1_000_000,
  });
  await watcher.join({ room, identity: 'watcher', options });
  await until('the high layer arrives', async () => {
    const { frameWidth, framesPerSecond } = await watcher.call('inbound', 'camera', 'camera') ?? {};
    if (frameWidth === 1280 && framesPerSecond >= 10) return true;
    const sent = (await publisher.call('outbound', 'camera')).map((layer) =>
      [layer.rid, layer.frameWidth, layer.framesPerSecond, layer.targetBitrate, layer.qualityLimitationReason]);
    throw new Error(`${frameWidth} wide, ${framesPerSecond} fps; sent: ${JSON.stringify(sent)}`);
  }, { within: 45_000 });
  const stats = await watcher.call('inbound', 'camera', 'camera');
  assert.equal(stats.codec.toLowerCase(), `video/${codec}`);
}

const low = (width) => width <= 320;
const medium = (width) => width === 640;
const high = (width) => width === 1280;

for (const [codec, singlePeerConnection] of [['vp8', true], ['h264', false]]) {
  test(`layers of a 1280x720 ${codec} picture`, { timeout: 120_000 }, async (t) => {
    await the.peers(['chromium', 'chromium'], async (publisher, watcher) => {
      assert.ok((await publisher.call('codecs')).includes(`video/${codec.toUpperCase()}`), `no ${codec} in this Chromium`);
      await publishThreeLayers(publisher, watcher, newRoom(), codec, singlePeerConnection);
      const quality = (name) => () => watcher.call('askQuality', 'camera', 'camera', name);
      const size = (width, height) => () => watcher.call('askDimensions', 'camera', 'camera', { width, height });

      await t.test('quality LOW and HIGH', async (t) => {
        check(t, await change(watcher, quality('LOW'), low, 'HIGH to LOW'));
        check(t, await change(watcher, quality('HIGH'), high, 'LOW to HIGH'));
      });
      await t.test('dimensions 320x180, 640x360 and 1280x720', async (t) => {
        check(t, await change(watcher, size(320, 180), low, '1280x720 to 320x180'));
        check(t, await change(watcher, size(640, 360), medium, '320x180 to 640x360'));
        check(t, await change(watcher, size(1280, 720), high, '640x360 to 1280x720'));
      });
      await t.test('pause and go on', async () => {
        await watcher.call('setEnabled', 'camera', 'camera', false);
        let last;
        await until('no more packets arrive', async () => {
          const { packetsReceived } = await watcher.call('inbound', 'camera', 'camera');
          const still = packetsReceived === last;
          last = packetsReceived;
          return still;
        }, { every: 500 });
        await watcher.call('setEnabled', 'camera', 'camera', true);
        await watcher.sees('camera', 'camera', 5_000);
        await until('1280x720 again', async () => (await watcher.call('inbound', 'camera', 'camera')).frameWidth === 1280);
      });
    });
  });
}

test('the layers Firefox sends', { timeout: 90_000 }, async () => {
  await the.peers(['firefox', 'chromium'], async (publisher, watcher) => {
    const room = newRoom();
    await publisher.join({ room, identity: 'camera' });
    await publisher.call('publishCamera', {
      simulcast: true, width: 1280, height: 720, fps: 10, maxBitrate: 1_200_000,
    });
    await watcher.join({ room, identity: 'watcher' });
    await watcher.sees('camera');
    for (const [quality, wanted] of [['LOW', low], ['HIGH', high], ['LOW', low]]) {
      const since = await watcher.call('askQuality', 'camera', 'camera', quality);
      await until(`${quality} arrives`, async () =>
        (await watcher.call('frames', 'camera', 'camera', since)).some((frame) => wanted(frame.width)), { within: 30_000 });
    }
  });
});

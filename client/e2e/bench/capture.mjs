// npm run capture -- CODEC... : has Chromium publish a camera, and records what its packets are
// like for the load test (loadtest/trace). Needs ../../bin/diemcau and ffmpeg.
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { launchChromium } from '../lib/browsers.mjs';
import { closeAll } from '../lib/fixture.mjs';
import { newRoom, Peer } from '../lib/peer.mjs';
import { measureFor, until } from '../lib/poll.mjs';
import { binary, startServer } from '../lib/server.mjs';
import { serveBarePage } from '../lib/static.mjs';
import { makeClip } from './stage.mjs';

const run = promisify(execFile);
const topBitrate = 1_700_000; // LiveKit's for 1280x720, as in the bench
const enoughBitrate = 1_300_000; // of the top layer, or of the one stream, before it is recorded

// What is recorded of each codec. VP9 sends its sizes in one stream.
const kinds = {
  vp8: { simulcast: true, more: [] },
  h264: { simulcast: true, more: [] },
  vp9: { simulcast: false, more: ['--svc'] },
};

// With the dependency descriptor, Chromium leaves picture ids and temporal layers out of the VP8
// descriptor. The load test sends no such header extension, so it is refused.
function refuseDependencyDescriptor() {
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function setWithout({ type, sdp }) {
    return set.call(this, { type, sdp: sdp.replace(/^a=extmap:.*dependency-descriptor.*\r\n/gm, '') });
  };
}

const usage = `usage: npm run capture -- [--fps N] [--out DIRECTORY] [CODEC...]

CODEC is ${Object.keys(kinds).join(', ')}; default all.
  --fps N          of the camera (default 30)
  --out DIRECTORY  where CODEC.trace is written (default ../../loadtest/trace/data)
`;

/** The encodings that are sent: [{rid, bitrate, fps, width, codec, mode}]. */
async function sending(publisher, ms) {
  const read = () => publisher.call('outbound', 'camera');
  const before = await read();
  await measureFor(ms);
  return (await read()).map((now) => {
    const then = before.find((entry) => entry.ssrc === now.ssrc) ?? { bytesSent: 0, framesSent: 0, timestamp: now.timestamp - ms };
    const seconds = (now.timestamp - then.timestamp) / 1000;
    const spatial = Number(now.scalabilityMode?.match(/^L([0-9])/)?.[1] ?? 1); // each counts as a frame
    return {
      rid: now.rid ?? '',
      bitrate: (now.bytesSent - then.bytesSent) * 8 / seconds,
      fps: (now.framesSent - then.framesSent) / seconds / spatial,
      width: now.frameWidth,
      mode: now.scalabilityMode,
    };
  });
}

async function capture(the, codec, clip, file) {
  const { simulcast, more } = kinds[codec];
  const room = newRoom();
  const publisher = await Peer.open(the.chromium, the.page.url, the.server);
  try {
    await publisher.tab.evaluate(refuseDependencyDescriptor);
    await publisher.join({ room, identity: 'speaker' });
    await publisher.call('publishCamera', { codec, simulcast, width: 1280, height: 720, fps: clip.fps, maxBitrate: topBitrate });
    const streams = await until(`${codec} is sent in full`, async () => {
      const now = await sending(publisher, 2_000);
      const top = now.find((stream) => stream.width === 1280);
      const all = now.length === (simulcast ? 3 : 1);
      if (all && top?.bitrate >= enoughBitrate && top.fps >= clip.fps * 0.9) return now;
      throw new Error(JSON.stringify(now));
    }, { within: 90_000 });
    const version = await publisher.tab.evaluate(() => navigator.userAgent.match(/Chrome\/([0-9]+)/)[1]);
    const modes = [...new Set(streams.map((stream) => stream.mode))].join(', ');
    const fps = streams.map((stream) => Math.round(stream.fps)).join(', ');
    const source = `Chromium ${version}, ${simulcast ? 'simulcast, ' : ''}${modes}, camera 1280x720 at ${clip.fps} fps (sent: ${fps})`;
    const { stdout } = await run(binary, ['loadtest', 'capture', '--url', the.server.url, '--key', the.server.key,
      '--room', room, '--publisher', 'speaker', ...more, '--source', source, '--out', file],
    { env: { ...process.env, DIEMCAU_SECRET: the.server.secret } });
    process.stdout.write(`${codec}: ${stdout}`);
  } finally {
    await publisher.close();
  }
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      fps: { type: 'string', default: '30' },
      out: { type: 'string', default: fileURLToPath(new URL('../../../loadtest/trace/data', import.meta.url)) },
      help: { type: 'boolean' },
    },
  });
  const codecs = positionals.length > 0 ? positionals : Object.keys(kinds);
  const fps = Number(values.fps);
  if (values.help || codecs.some((codec) => !kinds[codec]) || !Number.isInteger(fps) || fps < 5 || fps > 30) {
    process.stdout.write(usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  await mkdir(values.out, { recursive: true });
  const clip = await makeClip(fps);
  const closers = [clip.remove];
  const the = {};
  try {
    the.server = await startServer();
    closers.push(() => the.server.stop());
    the.page = await serveBarePage();
    closers.push(() => the.page.stop());
    the.chromium = await launchChromium([`--use-file-for-fake-video-capture=${clip.file}`]);
    closers.push(() => the.chromium.close());
    for (const codec of codecs) await capture(the, codec, clip, join(values.out, `${codec}.trace`));
  } finally {
    await closeAll(closers);
  }
}

await main();

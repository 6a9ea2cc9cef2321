// Short forms of the bench: Chromium behind an impaired network, with the bench's own figures
// and limits. And what the bench reads out of a run, on runs whose figures are known.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import * as f from '../bench/figures.mjs';
import { good, line, runOnce } from '../bench/run.mjs';
import { makeClip } from '../bench/stage.mjs';

let clip;

before(async () => {
  if (process.env.DIEMCAU_URL) throw new Error('these tests start their own server');
  clip = await makeClip(15);
}, { timeout: 60_000 });

after(() => clip?.remove());

for (const name of ['join-tcp', 'join-ipv6', 'handover']) {
  test(`bench ${name}`, { timeout: 180_000 }, async (t) => {
    const run = await runOnce(name, { clip, seed: 1, network: 0, set: {} });
    t.diagnostic(line(name, run.figures));
    t.diagnostic(JSON.stringify(run.more));
    assert.ok(run.figures.every(good), line(name, run.figures));
  });
}

/** Frames every 50 ms in from..to, of the given width. */
function frames(from, to, width = 1280) {
  const list = [];
  for (let at = from; at < to; at += 50) list.push([at, width, at / 50, 1]);
  return list;
}

test('pauses and freezes', () => {
  const shown = [...frames(0, 1000), ...frames(1400, 3000)].map((frame, i) => [frame[0], frame[1], i, 1]);
  assert.deepEqual(f.freezes(shown, 0, 2950), [{ start: 950, length: 450 }]);
  assert.equal(f.total(f.pauses(shown, 0, 2950)), 2950);
  assert.equal(f.total(f.freezes(shown, 0, 5000)), 450 + 2050, 'a picture that never comes back is frozen to the end');
  assert.deepEqual(f.freezes(shown, 1200, 2950), [], 'only what falls into the time counts');
  assert.equal(f.total(f.freezes([], 0, 5000)), 5000, 'no picture at all is frozen all the time');
  assert.deepEqual(f.freezes([...frames(0, 1000), ...frames(1400, 3000)], 0, 2950), [],
    'frames that were shown but not told of are no freeze');
  assert.equal(f.backAfter(shown, 940, 2950), 460);
  assert.equal(f.backAfter(shown, 970, 2950), 430, 'a pause under way');
  assert.equal(f.backAfter(frames(0, 3000), 1000, 2950), 0);
  assert.equal(f.backAfter(frames(0, 1000), 970, 2950), 1980, 'a picture that never comes back');
  const later = [...frames(0, 4000), ...frames(5000, 6000)].map((frame, i) => [frame[0], frame[1], i, 1]);
  assert.equal(f.backAfter(later, 1000, 5900), 0, 'a later pause has another cause');
  assert.equal(f.steadyAfter(shown, 1000), 400);
  assert.equal(f.steadyAfter(shown, 2900), Infinity);
});

test('layers', () => {
  const shown = [...frames(0, 1000), ...frames(1000, 2000, 640), ...frames(2000, 3000)];
  assert.deepEqual(f.layers(shown, 500, 2900), [{ at: 500, width: 1280 }, { at: 1000, width: 640 }, { at: 2000, width: 1280 }]);
  assert.deepEqual(f.layers(shown, 500, 900), [{ at: 500, width: 1280 }]);
});

test('concealed sound and received bits', () => {
  const samples = [];
  for (let i = 0; i <= 30; i += 1) {
    // 4800 samples each 100 ms; between 1.0 and 1.5 s half of them made up, and 100 of those silent.
    const bad = Math.min(Math.max(i - 10, 0), 5);
    samples.push({ at: i * 100, heard: i * 4800, concealed: bad * 2400, silent: bad * 100, bytes: i * 1000 });
  }
  assert.equal(f.concealed(samples, 1000, 1500), 2300 / 4800);
  assert.equal(f.concealed(samples, 0, 3000), (5 * 2300) / (30 * 4800));
  assert.equal(f.concealed(samples, 2000, 3000), 0);
  assert.equal(f.concealed([], 0, 3000), 1, 'no sound at all');
  assert.equal(f.soundAfter(samples, 1000, 3000), 500);
  assert.equal(f.soundAfter(samples, 1500, 3000), 0);
  assert.equal(f.received(samples, 1000, 2000), 80_000);
  assert.equal(f.median([3, 1, 2]), 2);
  assert.equal(f.median([Infinity, 1, Infinity]), Infinity);
});

test('figures are good or not', () => {
  assert.ok(good({ value: 1, limit: 1 }));
  assert.ok(!good({ value: 1.01, limit: 1 }));
  assert.ok(!good({ value: Infinity, limit: 1 }));
  assert.ok(good({ value: 2, want: 2 }));
  assert.ok(!good({ value: 'udp', want: 'tcp' }));
  assert.match(line('x', [{ name: 'up after', value: Infinity, unit: 's', limit: 8 }]), /FAIL {2}up after never s \(≤ 8\) MISSED/);
});

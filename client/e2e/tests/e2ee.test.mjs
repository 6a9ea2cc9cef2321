// End-to-end encryption where more people have a voice than a participant has places: who
// has the key hears whoever speaks, also who was not received before; nobody else does.
import assert from 'node:assert/strict';
import test from 'node:test';

import { closeAll, fixture } from '../lib/fixture.mjs';
import { Lab } from '../lib/lab.mjs';
import { newRoom, Peer, withPeers } from '../lib/peer.mjs';
import { measureFor, until } from '../lib/poll.mjs';
import { Server, startOpenServer } from '../lib/server.mjs';
import { serveBarePage } from '../lib/static.mjs';

const the = fixture();

const places = 12; // for the sound of others, at each participant
const loss = 8; // percent
const spectrum = 90; // ms of sound that a look hears
const people = Array.from({ length: places + 3 }, (_, i) => ({ identity: `voice-${i}`, frequency: 500 + 100 * i }));
const patience = { within: 20_000 };

/** In whose streams a listener hears a tone now. */
async function toneIn(listener, hz) {
  const heard = Object.entries(await listener.call('pitches'));
  return heard.filter(([, h]) => Math.abs(h.hz - hz) < 30 && h.share > 0.6 && h.power > -60).map(([identity]) => identity);
}

/** Waits until a listener hears somebody; gives the others in whose streams the tone was. */
async function hears(listener, { identity, frequency }) {
  const strangers = new Set();
  await until(`${listener.identity} hears ${identity}`, async () => {
    const streams = await toneIn(listener, frequency);
    for (const other of streams.filter((s) => s !== identity)) strangers.add(other);
    return streams.includes(identity);
  }, { within: 20_000, every: 10 });
  return [...strangers];
}

const errors = async (peer) => (await peer.call('events')).filter((e) => e.type === 'encryptionError');
const received = async (peer) =>
  (await peer.call('participants')).filter((p) => p.tracks.some((track) => track.subscribed)).map((p) => p.identity);

/** Opens the page with all the voices in it, and one page per listener. */
async function gather(passphrases, body) {
  const names = Array.from({ length: passphrases.length + 1 }, () => 'chromium');
  await the.peers(names, async (crowd, ...listeners) => {
    const room = newRoom();
    const members = people.map((person) => ({ ...person, token: the.server.token({ room, identity: person.identity }) }));
    await crowd.call('crowd', the.server.url, members, 'open sesame');
    for (const [i, listener] of listeners.entries()) {
      const { passphrase, singlePeerConnection } = passphrases[i];
      await listener.join({ room, identity: `listener-${i}`, options: { passphrase, room: { singlePeerConnection } } });
      await until(`listener-${i} has its places taken`, async () => (await received(listener)).length === places, patience);
    }
    await body(crowd, ...listeners);
  });
}

test('a key for all: everybody who speaks is heard, by who has the key', { timeout: 120_000 }, async (t) => {
  const listeners = [
    { passphrase: 'open sesame', singlePeerConnection: false }, { passphrase: 'open sesame', singlePeerConnection: true },
    { passphrase: 'open barley' }, {},
  ];
  await gather(listeners, async (crowd, two, one, otherKey, noKey) => {
    let late = 0;
    // Who has no place yet first, then some who may have lost theirs.
    const at = await received(two);
    const order = [...people.filter((p) => !at.includes(p.identity)), ...people.filter((p) => at.includes(p.identity))].slice(0, 8);
    for (const person of order) {
      const { identity, frequency } = person;
      const known = (await received(two)).includes(identity);
      const began = performance.now();
      await crowd.call('speak', identity, true);
      const strangers = await Promise.all([two, one].map((listener) => hears(listener, person)));
      t.diagnostic(`${identity}${known ? '' : ', without a place'}: heard by both after ${Math.round(performance.now() - began)} ms`);
      assert.deepEqual(strangers.flat(), [], `${identity} is heard in its own stream only`);
      let heard = people.map((p) => p.identity); // by who has no key, in every look
      for (let i = 0; i < 5 || (heard.length > 0 && i < 30); i += 1) { // the others have as much of it
        const silence = Object.values(await otherKey.call('pitches'));
        assert.ok(silence.length > 0 && silence.every((h) => h.power < -60), `silence with another key: ${JSON.stringify(silence)}`);
        // Who has no key decodes what is encrypted: noise, which for a moment may be any tone,
        // and longer where a stream stops and its end is drawn out. The voice goes on meanwhile.
        const tone = await toneIn(noKey, frequency);
        heard = heard.filter((other) => tone.includes(other));
        await measureFor(spectrum);
      }
      assert.deepEqual(heard, [], `${identity} is heard without a key`);
      await crowd.call('speak', identity, false);
      if (!known) late += 1;
    }
    assert.ok(late >= people.length - places, `${late} spoke without a place`);
    for (const listener of [two, one]) assert.deepEqual(await errors(listener), [], listener.identity);
    assert.ok((await errors(otherKey)).length > 0, 'another key is noticed');
    assert.ok((await errors(noKey)).length > 0, 'no key is noticed');
  });
});

// For plain sound the server makes RED then, which a client would decrypt as a whole.
test('what gets lost does not change what is encrypted', { timeout: 90_000 }, async (t) => {
  const closers = [];
  const keep = (thing, close) => {
    closers.push(() => close(thing));
    return thing;
  };
  try {
    const lab = keep(await Lab.up({ seed: 1, network: 0, phases: [{ name: 'lossy', down: { loss: `${loss}%` } }] }), (l) => l.down());
    const server = keep(await startOpenServer(), (s) => s.stop());
    const page = keep(await serveBarePage(lab.host4), (p) => p.stop());
    // Without it there is no cryptography for pages of another host over HTTP.
    const flags = [`--unsafely-treat-insecure-origin-as-secure=${page.url.slice(0, -1)}`];
    const far = keep(await lab.launchChromium({ flags }), (c) => c.close());
    const seenFrom = new Server(server.url.replace('127.0.0.1', lab.urlHost), server.key, server.secret);
    await withPeers([
      () => Peer.open(the.chromium, the.page.url, server), () => Peer.open(far, page.url, seenFrom),
    ], async (crowd, listener) => {
      const room = newRoom();
      const { identity } = people[0];
      await crowd.call('crowd', server.url, [{ ...people[0], token: server.token({ room, identity }) }], 'open sesame');
      await crowd.call('speak', identity, true);
      await listener.join({ room, identity: 'listener', options: { passphrase: 'open sesame' } });
      await hears(listener, people[0]);
      const stats = await until('the loss is known', async () => {
        const now = await listener.call('inbound', identity, 'microphone');
        if (now.packetsReceived > 500) return now;
        throw new Error(`${now.packetsReceived} packets`);
      }, patience);
      const shares = { lost: stats.packetsLost / stats.packetsReceived, madeUp: stats.concealedSamples / stats.totalSamplesReceived };
      t.diagnostic(`${stats.packetsReceived} packets, ${JSON.stringify(shares)}`);
      assert.deepEqual(await errors(listener), []);
      assert.ok(shares.madeUp < 2 * loss / 100, 'what came was played');
    });
  } finally {
    await closeAll(closers);
  }
});

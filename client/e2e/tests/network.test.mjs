// A laptop on another network: our page over HTTPS with the demonstration's own authority,
// the server in one network namespace and Chromium in another.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import test, { after, before } from 'node:test';

import { closeAll, showLog } from '../lib/fixture.mjs';
import { Network } from '../lib/network.mjs';
import { newRoom, withPeers } from '../lib/peer.mjs';
import { startServerOn } from '../lib/server.mjs';
import { Visitor } from '../lib/visitor.mjs';

const ports = { https: 7443, tcp: 7444, udp: 7445 }; // of a host that runs nothing else
const official = 'Lường Thị Mai';
const village = 'Giàng A Sử — bản Tà Dê';

const closers = [];
let network;
let server;
let authority; // as a device gets it that does not trust the server yet
let trusting; // Chromium that trusts this authority

before(async () => {
  network = await Network.up();
  closers.push(() => network.down());
  server = await startServerOn(network, ports);
  closers.push(() => server.stop());
  authority = await network.fetchUnverified(`${server.url}/ca.crt`);
  trusting = await network.launchChromium(authority);
  closers.push(() => trusting.close());
}, { timeout: 120_000 });

after(async () => {
  try {
    await closeAll(closers);
  } finally {
    showLog(server);
  }
}, { timeout: 30_000 });

test('a browser that does not know the authority refuses the page', { timeout: 120_000 }, async () => {
  const stranger = await network.launchChromium();
  try {
    const tab = await stranger.open();
    await assert.rejects(tab.goto(`${server.url}/`), /net::ERR_CERT_AUTHORITY_INVALID/);
  } finally {
    await stranger.close();
  }
});

test('a browser that trusts the authority opens the page', { timeout: 60_000 }, async () => {
  assert.ok(new X509Certificate(authority).ca);
  const tab = await trusting.open();
  try {
    await tab.goto(`${server.url}/`);
    await tab.see('lobby');
    const page = await tab.evaluate(() => ({ secure: window.isSecureContext, camera: 'mediaDevices' in navigator }));
    assert.deepEqual(page, { secure: true, camera: true });

    const downloading = tab.page.waitForEvent('download', { timeout: 10_000 });
    await tab.evaluate(() => { window.location.href = '/ca.crt'; });
    const download = await downloading;
    assert.equal(download.suggestedFilename(), 'diemcau-ca.crt');
    assert.equal(await readFile(await download.path(), 'utf8'), authority);
  } finally {
    await tab.close();
  }
});

/** Two people meet in a room through our page; gives where the media of each peer connection went. */
async function meet(t) {
  const openers = [official, village].map((name) => () => Visitor.open(trusting, server, name));
  return withPeers(openers, async (one, two) => {
    const room = newRoom();
    const started = performance.now();
    // Each in another form of the protocol: one peer connection, and two.
    await one.goIn(room, 1);
    await two.goIn(room, 2);
    for (const [someone, other] of [[one, two], [two, one]]) {
      await someone.sees(other.name);
      await someone.hears(1);
    }
    t.diagnostic(`both joined, see and hear each other after ${Math.round(performance.now() - started)} ms`);
    for (const someone of [one, two]) assert.deepEqual(someone.tab.problems, [], `errors in the page of ${someone.name}`);
    return { one: await one.routes(), two: await two.routes() };
  });
}

test('two people meet over UDP', { timeout: 120_000 }, async (t) => {
  const route = { protocol: 'udp', address: network.serverAddress, port: ports.udp };
  assert.deepEqual(await meet(t), { one: [route], two: [route, route] });
});

test('two people meet over TCP where a firewall drops UDP', { timeout: 120_000 }, async (t) => {
  const route = { protocol: 'tcp', address: network.serverAddress, port: ports.tcp };
  let routes;
  const dropped = await network.withoutUDP(ports.udp, async () => { routes = await meet(t); });
  assert.deepEqual(routes, { one: [route], two: [route, route] });
  assert.ok(dropped > 0, 'nothing was dropped: the firewall proves nothing');
  t.diagnostic(`${dropped} UDP packets dropped`);
});

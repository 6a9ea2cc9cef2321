// Writes docs/screenshots/{preview,stage,phone}.png: our page with a full room of named
// participants. The others are bare-page clients with drawn pictures.
import { mkdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { launchChromium } from './lib/browsers.mjs';
import { Peer } from './lib/peer.mjs';
import { measureFor, until } from './lib/poll.mjs';
import { startServer } from './lib/server.mjs';
import { serveBarePage } from './lib/static.mjs';
import { Visitor } from './lib/visitor.mjs';

const directory = fileURLToPath(new URL(process.env.DIEMCAU_SCREENSHOTS ?? '../../docs/screenshots/', import.meta.url));
const room = 'hop-giao-ban';
const me = 'Cầm Thị Bích Ngọc';
const others = [
  { name: 'Nguyễn Văn Thưởng · UBND tỉnh', hue: 212, speaks: true },
  { name: 'Lò Thị Hường · xã Ngọc Chiến', hue: 152, longHair: true },
  { name: 'Đặng Quỳnh Như · Sở Tài chính', hue: 28, longHair: true },
  { name: 'Vừ A Phông · xã Tà Xùa', hue: 268 },
  { name: 'Hoàng Thị Mỹ Lệ · phường Tô Hiệu', dark: true },
];

/** Gives back the peer that speaks. */
async function fillRoom(chromium, page, server, closers) {
  let speaker;
  for (const [index, { name, speaks, dark, ...look }] of others.entries()) {
    const peer = await Peer.open(chromium, page.url, server);
    closers.push(() => peer.close());
    await peer.join({ room, identity: `guest:${index + 1}`, name });
    await peer.call(speaks ? 'publishTone' : 'publishMicrophone');
    if (!speaks) await peer.call('setMuted', 'microphone', true);
    if (!dark) await peer.call('publishPortrait', { ...look, seed: index });
    if (speaks) speaker = peer;
  }
  return speaker;
}

/** Lets the speaker begin anew, so that the visitor is told of it. */
async function beginsToSpeak(speaker, visitor) {
  await speaker.call('setMuted', 'microphone', true);
  await until('silence', async () => (await visitor.tile(others[0].name))?.mic === 'off');
  await speaker.call('setMuted', 'microphone', false);
  await until('the speaker is marked', async () => (await visitor.tile(others[0].name))?.speaking === 'true');
}

/** Opens our page with a drawn person before its camera. */
async function openVisitor(chromium, server, options) {
  const visitor = await Visitor.open(chromium, server, me, options);
  const portrait = await readFile(new URL('bare/portrait.js', import.meta.url), 'utf8');
  await visitor.tab.page.addInitScript({ content: portrait });
  await visitor.tab.inEveryDocument(() => {
    const original = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      if (!constraints.video) return original(constraints);
      const drawn = window.portraitTrack({ hue: 190, longHair: true, seed: 5, width: 1280, height: 720 }, 10);
      const sound = constraints.audio ? (await original({ audio: constraints.audio })).getTracks() : [];
      return new MediaStream([drawn, ...sound]);
    };
  });
  return visitor;
}

async function picture(visitor, file) {
  await visitor.tab.evaluate(() => document.fonts.ready.then(() => true));
  await measureFor(1_500); // the layers settle at the size of their tiles
  await visitor.tab.screenshot(`${directory}${file}`);
  console.log(`${directory}${file}`);
}

async function showsEverybody(visitor, names) {
  for (const name of names) await visitor.sees(name);
  await until('the own picture', async () => (await visitor.tile(me))?.video === 'on', { within: 30_000 });
  await until('nothing announced any more', async () => !await visitor.tab.has('css:[role="status"] button'), { within: 15_000 });
}

async function main(closers) {
  await mkdir(directory, { recursive: true });
  const server = await startServer();
  closers.push(() => server.stop());
  const page = await serveBarePage();
  closers.push(() => page.stop());
  const chromium = await launchChromium();
  closers.push(() => chromium.close());
  const speaker = await fillRoom(chromium, page, server, closers);

  const laptop = await openVisitor(chromium, server, { viewport: { width: 1366, height: 768 } });
  await laptop.enterLobby(room);
  await until('preview', () => laptop.tab.evaluate(() => document.querySelector('video')?.videoWidth > 0));
  await picture(laptop, 'preview.png');
  await laptop.joinFromGreenRoom();
  await showsEverybody(laptop, others.filter((other) => !other.dark).map((other) => other.name));
  await beginsToSpeak(speaker, laptop);
  await picture(laptop, 'stage.png');
  await laptop.leave();

  const phone = await openVisitor(chromium, server, {
    viewport: { width: 360, height: 640 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true,
  });
  await phone.goIn(room);
  await showsEverybody(phone, [others[0].name]);
  await beginsToSpeak(speaker, phone);
  await picture(phone, 'phone.png');
}

const closers = [];
try {
  await main(closers);
} finally {
  for (const close of closers.reverse()) await close();
}

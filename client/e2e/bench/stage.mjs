// One run's people and places: the lab, the server, a publisher on the plain network and a
// subscriber behind the lab.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { launchChromium } from '../lib/browsers.mjs';
import { closeAll } from '../lib/fixture.mjs';
import { find, mustBeAble } from '../lib/host.mjs';
import { Lab } from '../lib/lab.mjs';
import { newRoom, Peer } from '../lib/peer.mjs';
import { measureFor, until } from '../lib/poll.mjs';
import { freePorts, Server, startOpenServer } from '../lib/server.mjs';
import { serveBarePage } from '../lib/static.mjs';
import { temporaryDirectory } from '../lib/temporary.mjs';

const run = promisify(execFile);
const topBitrate = 1_700_000; // LiveKit's for 1280x720
const enoughBitrate = 1_300_000; // of the top layer, before anything is measured

// A voice as a codec sees it: a buzz of wandering pitch through formants, in syllables that are
// never silent enough for DTX. (Sound made in a page would stop whenever that page is busy.)
const voice = "aevalsrc='0.4*(0.55+0.25*sin(2*PI*3*t)+0.15*sin(2*PI*5*t))*(2*mod(130*t+3*sin(2*PI*0.4*t),1)-1)':s=48000:d=10";
const formants = 'equalizer=f=600:t=q:w=3:g=9,equalizer=f=1400:t=q:w=4:g=6,lowpass=f=3500';

/**
 * Makes the publisher's camera and microphone once: a textured picture that pans, with some
 * noise, for 4 s, and a voice for 10 s, both of which join up with their beginnings.
 */
export async function makeClip(fps) {
  mustBeAble(['ffmpeg']);
  const dir = await temporaryDirectory('diemcau-bench-');
  const [still, file] = [join(dir.path, 'still.png'), join(dir.path, 'camera.y4m')];
  const n = 4 * fps;
  const pan = `crop=1280:720:160+140*sin(2*PI*n/${n}):90+80*sin(4*PI*n/${n})`;
  await run(find('ffmpeg'), ['-v', 'error', '-f', 'lavfi', '-i', 'mandelbrot=size=1600x900:rate=1:start_scale=0.5', '-frames:v', '1', still]);
  await run(find('ffmpeg'), ['-v', 'error', '-loop', '1', '-framerate', String(fps), '-i', still, '-frames:v', String(n),
    '-vf', `${pan},noise=alls=10:allf=t:all_seed=1,format=yuv420p`, file]);
  const sound = join(dir.path, 'microphone.wav');
  await run(find('ffmpeg'), ['-v', 'error', '-f', 'lavfi', '-i', voice, '-af', formants, '-ac', '1', sound]);
  return { file, sound, fps, remove: dir.remove };
}

/** An authority and a certificate of it for TURN over TLS. */
async function makeCertificate(dir, host) {
  mustBeAble(['openssl']);
  const file = (name) => join(dir, name);
  const openssl = (...args) => run(find('openssl'), args);
  await openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=bench authority', '-keyout', file('ca.key'), '-out', file('ca.crt'));
  await openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-subj', '/CN=bench server', '-keyout', file('server.key'), '-out', file('server.csr'));
  await writeFile(file('extensions'), `subjectAltName=IP:${host}\n`);
  await openssl('x509', '-req', '-in', file('server.csr'), '-CA', file('ca.crt'), '-CAkey', file('ca.key'),
    '-CAcreateserial', '-days', '2', '-extfile', file('extensions'), '-out', file('server.crt'));
  return { cert: file('server.crt'), key: file('server.key'), authority: await readFile(file('ca.crt'), 'utf8') };
}

/** 'turn.tls_port' as the server's environment has it. */
const variable = (key) => `DIEMCAU_${key.toUpperCase().replaceAll('.', '__')}`;

export class Stage {
  #closers = [];

  /**
   * @param {object} scenario of scenarios.mjs
   * @param {object} options of run.mjs, with the clip
   */
  static async up(scenario, options) {
    const stage = new Stage();
    try {
      await stage.#build(scenario, options);
    } catch (err) {
      await stage.down().catch(() => {}); // the first fault is the one to tell of
      throw err;
    }
    return stage;
  }

  async #build(scenario, options) {
    this.options = options;
    this.room = newRoom();
    this.ports = options.url ? { tcp: options.tcpPort } : await freePorts();
    const spec = JSON.parse(JSON.stringify(scenario.spec).replaceAll('{tcp}', this.ports.tcp));
    this.lab = await Lab.up({ seed: options.seed, network: options.network, ...spec });
    this.#closers.push(() => this.lab.down());
    await this.#startServer(scenario);
    this.publisher = await this.#publish(scenario);
    const page = await serveBarePage(this.lab.host4 ?? this.lab.host6);
    this.#closers.push(() => page.stop());
    const flags = scenario.permitted ? [`--unsafely-treat-insecure-origin-as-secure=${page.url.slice(0, -1)}`] : [];
    const chromium = await this.lab.launchChromium({ authority: this.authority, flags });
    this.#closers.push(() => chromium.close());
    this.subscriber = await Peer.open(chromium, page.url, this.#seenFrom(this.lab.urlHost));
    await this.subscriber.tab.page.addScriptTag({ url: '/bench.js' });
  }

  async #startServer(scenario) {
    const { options } = this;
    if (options.url) {
      this.server = new Server(options.url.replaceAll('{host}', this.lab.urlHost), options.key, options.secret);
      return;
    }
    const places = { host: this.lab.host4 ?? this.lab.host6 };
    if (scenario.certificate) {
      const dir = await temporaryDirectory('diemcau-bench-');
      this.#closers.push(dir.remove);
      const { authority, ...files } = await makeCertificate(dir.path, places.host);
      Object.assign(places, files);
      this.authority = authority;
    }
    const filled = (text) => Object.entries(places).reduce((t, [name, place]) => t.replaceAll(`{${name}}`, place), text);
    this.server = await startOpenServer(Object.fromEntries(
      Object.entries({ ...scenario.set, ...options.set }).map(([key, value]) => [variable(key), filled(value)])), this.ports);
    this.#closers.push(async () => {
      if (options.log) process.stderr.write(`${this.server.log}\n`);
      await this.server.stop();
    });
  }

  /** The server as a host sees it that knows it under another name. */
  #seenFrom(host) {
    if (this.options.url) return this.server;
    return new Server(`http://${host}:${this.ports.http}`, this.server.key, this.server.secret);
  }

  async #publish(scenario) {
    const { clip } = this.options;
    const chromium = await launchChromium([`--use-file-for-fake-video-capture=${clip.file}`, `--use-file-for-fake-audio-capture=${clip.sound}`]);
    this.#closers.push(() => chromium.close());
    const page = await serveBarePage();
    this.#closers.push(() => page.stop());
    const publisher = await Peer.open(chromium, page.url, this.server);
    await publisher.tab.page.addScriptTag({ url: '/bench.js' });
    await publisher.join({ room: this.room, identity: 'speaker', options: { room: scenario.room } });
    await publisher.tab.evaluate(() => window.bench.publishVoice());
    await publisher.call('publishCamera', { simulcast: true, width: 1280, height: 720, fps: clip.fps, maxBitrate: topBitrate });
    if (scenario.room?.dynacast) return publisher; // which sends nothing yet, for nobody wants it
    this.sending = await until('the publisher sends its top layer in full', async () => {
      const rates = await this.sent(publisher, 2_000);
      if (rates.f >= enoughBitrate) return rates;
      throw new Error(JSON.stringify(rates));
    }, { within: 60_000 });
    return publisher;
  }

  /** What the publisher sends for a while: bits per second by layer, and of the sound. */
  async sent(publisher, ms) {
    const read = () => publisher.tab.evaluate(() => window.bench.sent());
    const a = await read();
    await measureFor(ms);
    const b = await read();
    const rate = (now, before) => Math.round((now - (before ?? 0)) * 8_000 / (b.at - a.at));
    return {
      ...Object.fromEntries(Object.entries(b.layers).map(([rid, layer]) => [rid, rate(layer.bytes, a.layers[rid]?.bytes)])),
      audio: rate(b.audio, a.audio),
      fps: b.layers.f?.fps,
    };
  }

  /** The subscriber joins. Gives what the page says, and when it was asked. */
  async join() {
    const asked = Date.now();
    const result = await this.subscriber.tryJoin({ room: this.room, identity: 'viewer' });
    await this.subscriber.tab.evaluate(() => window.bench.watch('speaker', 100));
    return { asked, ...result };
  }

  /** Waits until the subscriber is shown frames of this width only, for so long. */
  steady(width, ms, within = 60_000) {
    return until(`only frames of width ${width} are shown for ${ms} ms`, async () => {
      const { shown } = await this.seen();
      const other = shown.findLast(([, shownWidth]) => shownWidth !== width)?.[0] ?? shown[0]?.[0] ?? Infinity;
      const last = shown.at(-1)?.[0] ?? -Infinity;
      if (last - other >= ms) return true;
      throw new Error(`${shown.length} frames, the last of another width ${last - other} ms before the last`);
    }, { within });
  }

  seen() {
    return this.subscriber.tab.evaluate(() => window.bench.seen());
  }

  route() {
    return this.subscriber.tab.evaluate(() => window.bench.route('speaker'));
  }

  down() {
    const closers = this.#closers;
    this.#closers = [];
    return closeAll(closers);
  }
}

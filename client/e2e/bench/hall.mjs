// A hall: many points that publish, by `diemcau loadtest hall`, and one Chromium with stock
// livekit-client that calls some of them in turn.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { launchChromium } from '../lib/browsers.mjs';
import { closeAll } from '../lib/fixture.mjs';
import { newRoom } from '../lib/peer.mjs';
import { measureFor, until } from '../lib/poll.mjs';
import { binary, freePorts, startOpenServer } from '../lib/server.mjs';
import { serveBarePage } from '../lib/static.mjs';

const inPage = fileURLToPath(new URL('hall.js', import.meta.url));

/** The points of a hall, in a process of their own. */
export class Points {
  #child;
  #lines;
  #errors = '';

  static async up(server, room, count) {
    const points = new Points();
    points.#child = spawn(binary, ['loadtest', 'hall', '--url', server.url, '--key', server.key, '--room', room, '--points', String(count)], {
      env: { ...process.env, DIEMCAU_SECRET: server.secret }, stdio: ['pipe', 'pipe', 'pipe'],
    });
    process.once('exit', () => points.#child.kill('SIGKILL'));
    points.#child.stderr.setEncoding('utf8').on('data', (text) => { points.#errors = (points.#errors + text).slice(-2000); });
    points.#lines = createInterface({ input: points.#child.stdout })[Symbol.asyncIterator]();
    try {
      await points.#answer();
    } catch (err) {
      await points.down();
      throw err;
    }
    return points;
  }

  async #answer() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`the points ended: ${this.#errors}`);
    return JSON.parse(value);
  }

  /** Has one point speak, the others be silent; -1: all. Gives when its first packet left, in ms since 1970. */
  async speak(point) {
    this.#child.stdin.write(`${JSON.stringify({ speak: point })}\n`);
    return (await this.#answer()).at;
  }

  async down() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(timer);
  }
}

/**
 * Joins a room of points with a tab on the bare page, and calls some in turn.
 * @param {{tab: object, server: object, count: number, calls: number, singlePeerConnection?: boolean}} wants
 * @returns {Promise<{picture: number, called: {point: number, seen: number, heard: number, own: number}[], state: object}>} ms
 */
export async function callInTurn({ tab, server, count, calls, singlePeerConnection = false }) {
  const room = newRoom();
  const points = await Points.up(server, room, count);
  try {
    await tab.page.addScriptTag({ path: inPage });
    const hall = (name, ...args) => tab.evaluate(([fn, list]) => window.hall[fn](...list), [name, args]);
    const began = await hall('join', server.url, server.token({ room, identity: 'viewer' }), singlePeerConnection);
    const { firstPicture } = await until('a picture', async () => {
      const state = await hall('state');
      return state.firstPicture && state;
    }, { within: 20_000, every: 50 });
    await until('all points publish', async () => {
      const state = await hall('state');
      if (state.published === count) return true;
      throw new Error(JSON.stringify(state));
    }, { within: 30_000 });
    await measureFor(5_000); // everything that comes by itself is there, and unwanted layers are off
    const called = [];
    let before;
    for (let i = 0; i < calls; i += 1) {
      const point = Math.floor(((i * 2 + 1) * count) / (2 * calls));
      await points.speak(-1);
      await until('silence', () => hall('quietFor', 700));
      await hall('show', `point-${point}`, before);
      const at = await points.speak(point);
      const noted = await until(`point ${point} is seen and heard`, async () => {
        const so = await hall('noted');
        return so.seen && so.own && so;
      }, { within: 5_000, every: 50 }).catch(() => hall('noted'));
      called.push({
        point, seen: (noted.seen ?? Infinity) - noted.from, heard: (noted.heard ?? Infinity) - at, own: (noted.own ?? Infinity) - at,
        already: noted.already,
      });
      before = `point-${point}`;
      await measureFor(500);
    }
    return { picture: firstPicture - began, called, state: await hall('state') };
  } finally {
    await points.down();
  }
}

/** Where a hall is measured: a server and a Chromium, without a network between them. */
class HallStage {
  sending = {};
  #closers = [];

  static async up(scenario, options) {
    const stage = new HallStage();
    try {
      stage.server = await startOpenServer({}, await freePorts());
      stage.#closers.push(async () => {
        if (options.log) process.stderr.write(`${stage.server.log}\n`);
        await stage.server.stop();
      });
      const page = await serveBarePage();
      stage.#closers.push(() => page.stop());
      const chromium = await launchChromium();
      stage.#closers.push(() => chromium.close());
      stage.tab = await chromium.open();
      await stage.tab.goto(page.url);
    } catch (err) {
      await stage.down().catch(() => {}); // the first fault is the one to tell of
      throw err;
    }
    return stage;
  }

  down() {
    const closers = this.#closers;
    this.#closers = [];
    return closeAll(closers);
  }
}

// own: until a client is told whose sound it plays; not part of what was promised.
export const limits = { picture: 4_000, sections: 40, seen: 1_000, heard: 300, own: 3_000 };

export const hall = (count, calls) => ({
  about: `${count} points publish, one browser joins and calls ${calls} in turn`,
  stage: HallStage,
  async measure({ tab, server }) {
    const { picture, called, state } = await callInTurn({ tab, server, count, calls });
    const worst = (name) => Math.round(Math.max(...called.map((call) => call[name])));
    return {
      figures: [
        { name: 'first picture', value: Math.round(picture), unit: 'ms', limit: limits.picture },
        { name: 'media sections', value: state.sections, limit: limits.sections },
        { name: 'seen', value: worst('seen'), unit: 'ms', limit: limits.seen },
        { name: 'heard', value: worst('heard'), unit: 'ms', limit: limits.heard },
      ],
      more: { own: worst('own'), called: called.map((call) => Object.values(call).map((n) => Math.round(n))), state },
    };
  },
});

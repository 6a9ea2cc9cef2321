// A participant on the bare page, driven from a test.
import { until } from './poll.mjs';

let rooms = 0;

/** A room name no other test uses, also not one of an earlier run on the same server. */
export function newRoom() {
  rooms += 1;
  return `e2e-${process.pid}-${Date.now().toString(36)}-${rooms}`;
}

export class Peer {
  /** Opens the bare page in a browser. */
  static async open(browser, pageURL, server, options) {
    const tab = await browser.open(options);
    await tab.goto(pageURL);
    return new Peer(tab, server);
  }

  constructor(tab, server) {
    this.tab = tab;
    this.server = server;
  }

  /** Calls window.bare[name](...args) in the page. */
  call(name, ...args) {
    return this.tab.evaluate(([fn, list]) => window.bare[fn](...list), [name, args]);
  }

  /** Joins and fails if that fails. */
  async join({ room, identity, options, ...claims }) {
    const result = await this.tryJoin({ room, identity, options, ...claims });
    if (!result.ok) throw new Error(`${identity} could not join: ${JSON.stringify(result.error)}`);
    return result;
  }

  /** Joins and gives the result, refusals included. */
  tryJoin({ options, ...claims }) {
    this.identity = claims.identity;
    return this.call('join', this.server.url, this.server.token(claims), options ?? {});
  }

  async publishBoth(camera) {
    await this.call('publishMicrophone');
    await this.call('publishCamera', camera ?? {});
  }

  /** Waits for an event of the given type that matches; gives it. after: index into events. */
  async event(type, match = () => true, { within = 10_000, after = 0 } = {}) {
    return until(`${this.identity} gets ${type}`, async () => {
      const events = await this.call('events');
      return events.slice(after).find((event) => event.type === type && match(event));
    }, { within });
  }

  async eventCount() {
    return (await this.call('events')).length;
  }

  /** Waits until frames are decoded and sound is heard from identity, and both go on. */
  async seesAndHears(identity, within = 20_000) {
    await this.sees(identity, 'camera', within);
    await this.hears(identity, within);
  }

  sees(identity, source = 'camera', within = 20_000) {
    return this.#grows(identity, source, 'framesDecoded', 5, within);
  }

  hears(identity, within = 20_000) {
    return this.#grows(identity, 'microphone', 'totalAudioEnergy', 1e-6, within);
  }

  /** Waits until a counter of one received stream grows by at least `by`. */
  async #grows(identity, source, counter, by, within) {
    let first;
    await until(`${this.identity} gets more ${counter} in ${source} of ${identity}`, async () => {
      const stats = await this.call('inbound', identity, source);
      if (!stats) throw new Error('no such stream');
      const now = stats[counter] ?? 0;
      // Another stream takes the place of the first after a reconnect.
      if (first?.ssrc !== stats.ssrc || now < first.value) first = { ssrc: stats.ssrc, value: now };
      if (now - first.value >= by) return true;
      throw new Error(`${counter} ${first.value} -> ${now}, packets ${stats.packetsReceived}, concealed ${stats.concealedSamples}`);
    }, { within });
  }

  close() {
    return this.tab.close();
  }
}

/** Runs body with the peers it opens, and closes their pages whatever happens. */
export async function withPeers(openers, body) {
  const peers = [];
  try {
    for (const open of openers) peers.push(await open());
    return await body(...peers);
  } finally {
    await Promise.allSettled(peers.map((peer) => peer.close()));
  }
}

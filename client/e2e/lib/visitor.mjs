// A person at our own page, from the lobby to the stage and out again.
import { until } from './poll.mjs';

/** Keeps every peer connection of the document, so that what is really received can be read. */
function keepPeerConnections() {
  const Native = window.RTCPeerConnection;
  window.keptPeerConnections = [];
  window.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      window.keptPeerConnections.push(this);
    }
  };
}

/** In the page: every inbound stream, as {track, kind, frames, energy}. */
async function readInbound() {
  const found = [];
  for (const connection of window.keptPeerConnections) {
    if (connection.connectionState === 'closed') continue;
    for (const entry of (await connection.getStats()).values()) {
      if (entry.type !== 'inbound-rtp') continue;
      found.push({
        track: entry.trackIdentifier,
        kind: entry.kind,
        frames: entry.framesDecoded ?? 0,
        energy: entry.totalAudioEnergy ?? 0,
      });
    }
  }
  return found;
}

/** In the page: where the media goes, per peer connection: {protocol, address, port} of the other end. */
async function readRoutes() {
  const routes = [];
  for (const connection of window.keptPeerConnections) {
    if (connection.connectionState !== 'connected') continue;
    const stats = await connection.getStats();
    for (const transport of stats.values()) {
      if (transport.type !== 'transport') continue;
      const pair = stats.get(transport.selectedCandidatePairId);
      if (!pair) continue;
      const { protocol, address, port } = stats.get(pair.remoteCandidateId);
      routes.push({ protocol, address, port });
    }
  }
  return routes;
}

/** In the page: what the tile of one participant shows, or null without such a tile. */
function readTile([name, source]) {
  const tiles = [...document.querySelectorAll('[data-testid="tile"],[data-testid="main-tile"]')];
  const tile = tiles.find((t) => t.dataset.name === name && (t.dataset.source ?? 'camera') === source)
    ?? tiles.flatMap((t) => [...t.querySelectorAll('[data-name]')])
      .find((t) => t.dataset.name === name && t.dataset.source === source);
  if (!tile) return null;
  const video = tile.querySelector('video');
  return {
    ...tile.dataset,
    width: video?.videoWidth ?? 0,
    time: video?.currentTime ?? 0,
    paused: video?.paused ?? true,
    track: video?.srcObject?.getVideoTracks?.()[0]?.id ?? null,
  };
}

export class Visitor {
  static async open(browser, server, name, options) {
    const tab = await browser.open(options);
    await tab.inEveryDocument(keepPeerConnections);
    return new Visitor(tab, server, name);
  }

  constructor(tab, server, name) {
    this.tab = tab;
    this.server = server;
    this.name = name;
  }

  /** Fills in the lobby and goes on to the green room. peerConnections: 1 or 2, else the page's own choice. */
  async enterLobby(room, peerConnections) {
    await this.tab.goto(`${this.server.url}/${peerConnections ? `?pc=${peerConnections}` : ''}`);
    await this.tab.see('lobby');
    await this.tab.fill('lobby-name', this.name);
    await this.tab.fill('lobby-room', room);
    await this.tab.click('lobby-continue');
    await this.tab.see('green-room');
  }

  /** Waits for the picture of the preview, then joins. */
  async joinFromGreenRoom() {
    await until(`${this.name} sees the preview`, () => this.tab.evaluate(() => {
      const element = document.querySelector('[data-testid="preview-video"]');
      const video = element?.matches('video') ? element : element?.querySelector('video');
      return video?.videoWidth > 0 && video.currentTime > 0;
    }), { within: 15_000 });
    await this.tab.click('join');
    await this.onStage();
  }

  async onStage() {
    await this.tab.see('stage', 20_000);
    await until(`${this.name} is connected`, async () => await this.connection() === 'connected', { within: 20_000 });
  }

  async goIn(room, peerConnections) {
    await this.enterLobby(room, peerConnections);
    await this.joinFromGreenRoom();
  }

  connection() {
    return this.tab.evaluate(() => document.querySelector('[data-testid="connection-state"]')?.dataset.state);
  }

  tile(name, source = 'camera') {
    return this.tab.evaluate(readTile, [name, source]);
  }

  inbound() {
    return this.tab.evaluate(readInbound);
  }

  /** The far end of the media of each peer connection, as ICE selected it. */
  routes() {
    return this.tab.evaluate(readRoutes);
  }

  /** Waits until the tile of name shows a picture that moves and is decoded from the network. */
  async sees(name, source = 'camera') {
    let first;
    await until(`${this.name} sees ${source} of ${name}`, async () => {
      const tile = await this.tile(name, source);
      if (!tile?.track || tile.width === 0 || tile.paused) return false;
      const stream = (await this.inbound()).find((s) => s.track === tile.track);
      const now = { frames: stream?.frames ?? 0, time: tile.time, track: tile.track };
      if (first?.track !== now.track) first = now;
      return now.frames >= first.frames + 5 && now.time > first.time;
    }, { within: 25_000 });
  }

  /** Waits until sound with energy comes from at least that many others at the same time. */
  async hears(others) {
    let before = new Map();
    await until(`${this.name} hears ${others}`, async () => {
      const streams = (await this.inbound()).filter((s) => s.kind === 'audio');
      const louder = streams.filter((s) => before.has(s.track) && s.energy > before.get(s.track));
      before = new Map(streams.map((s) => [s.track, s.energy]));
      return louder.length >= others;
    }, { within: 25_000, every: 600 });
  }

  /** Opens the chat panel if it is not open. */
  async openChat() {
    if (!await this.tab.has('chat-input')) await this.tab.click('control-chat');
    await this.tab.see('chat-input');
  }

  async say(text) {
    await this.openChat();
    await this.tab.fill('chat-input', text);
    await this.tab.click('chat-send');
  }

  async reads(text, fromName) {
    await this.openChat();
    await until(`${this.name} reads "${text}"`, () => this.tab.evaluate(([wanted, from]) =>
      [...document.querySelectorAll('[data-testid="chat-message"]')].some((m) =>
        m.textContent.includes(wanted) && (!from || m.textContent.includes(from))), [text, fromName]));
  }

  async leave() {
    await this.tab.click('control-leave');
    await until('asked or gone', async () => await this.tab.has('leave-confirm') || await this.tab.has('left'));
    if (await this.tab.has('leave-confirm')) await this.tab.click('leave-confirm');
    await this.tab.see('left');
  }

  close() {
    return this.tab.close();
  }
}

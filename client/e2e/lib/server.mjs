// Starts the built bin/diemcau in demo mode for one test file, here or on another host,
// or uses the server named by DIEMCAU_URL, DIEMCAU_KEY and DIEMCAU_SECRET.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { until } from './poll.mjs';
import { accessToken } from './token.mjs';

export const binary = process.env.DIEMCAU_BIN ?? fileURLToPath(new URL('../../../bin/diemcau', import.meta.url));
const demoKey = 'devkey';
const demoSecret = 'devsecret-devsecret-devsecret-devsecret';
const keptLogLines = 4000;

async function freeTCPPort() {
  const listener = createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

async function freeUDPPort() {
  const socket = createSocket('udp4');
  socket.bind(0);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** Ports that nobody listens on just now. */
export async function freePorts() {
  return { http: await freeTCPPort(), tcp: await freeTCPPort(), udp: await freeUDPPort() };
}

/** A server under test: its URL, its API key and, if it was started here, its process and log. */
export class Server {
  #process;
  #dir;
  #log = [];

  constructor(url, key, secret) {
    this.url = url;
    this.key = key;
    this.secret = secret;
  }

  /** True when the process was started here, so that its page and demo accounts are ours. */
  get ours() {
    return this.#process !== undefined;
  }

  /** Its data directory. */
  get dir() {
    return this.#dir;
  }

  /** The last lines the process wrote. */
  get log() {
    return this.#log.join('\n');
  }

  token(claims) {
    return accessToken({ key: this.key, secret: this.secret, ...claims });
  }

  /** ready: whether the server answers /readyz; may throw while it does not. */
  async spawn([program, ...args], env, dir, ready) {
    this.#dir = dir;
    this.#process = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    // A test process that dies must not leave its server behind.
    process.once('exit', () => {
      this.#process.kill('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    });
    let failed;
    this.#process.once('error', (err) => { failed = err; });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding('utf8');
      let rest = '';
      stream.on('data', (chunk) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop();
        this.#log.push(...lines);
        this.#log.splice(0, this.#log.length - keptLogLines);
      });
    }
    try {
      await until('server answers /readyz', async () => {
        if (failed || this.#process.exitCode !== null) return true;
        return ready();
      }, { within: 20_000 });
      if (failed) throw failed;
      if (this.#process.exitCode !== null) throw new Error(`server ended with code ${this.#process.exitCode}`);
    } catch (err) {
      await this.stop();
      throw new Error(`${binary} did not start: ${err.message}\n${this.log}`);
    }
  }

  /** Ends the process politely, after 10 s by force. A server that needs force is a failure. */
  async stop() {
    const child = this.#process;
    let forced = false;
    if (child?.pid && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => { forced = true; child.kill('SIGKILL'); }, 10_000);
      await ended;
      clearTimeout(timer);
    }
    if (this.#dir) await rm(this.#dir, { recursive: true, force: true });
    if (forced) throw new Error(`the server did not stop within 10 s of SIGTERM\n${this.log}`);
  }
}

async function startDemo({ url, listen, tcp, udp, prefix = [], ready }) {
  const server = new Server(url, demoKey, demoSecret);
  const dir = await mkdtemp(join(tmpdir(), 'diemcau-e2e-'));
  await server.spawn(
    [...prefix, binary, 'serve', '--demo', '--listen', listen, '--data', dir],
    { DIEMCAU_RTC__TCP_PORT: String(tcp), DIEMCAU_RTC__UDP_PORT: String(udp) },
    dir,
    ready,
  );
  return server;
}

/**
 * Starts the server on every address of this host, without TLS: what hosts behind an impaired
 * network reach. Its secret is made up for it.
 * @param {Record<string, string>} [env] configuration beside that
 * @param {{http: number, tcp: number, udp: number}} [ports]
 * @returns {Promise<Server>}
 */
export async function startOpenServer(env = {}, ports = undefined) {
  ports ??= await freePorts();
  const server = new Server(`http://127.0.0.1:${ports.http}`, 'e2e', randomBytes(32).toString('hex'));
  const dir = await mkdtemp(join(tmpdir(), 'diemcau-e2e-'));
  await server.spawn([binary, 'serve', '--listen', `:${ports.http}`, '--data', dir], {
    DIEMCAU_RTC__TCP_PORT: String(ports.tcp),
    DIEMCAU_RTC__UDP_PORT: String(ports.udp),
    DIEMCAU_RTC__USE_LOOPBACK: 'true',
    DIEMCAU_KEYS__e2e: server.secret,
    ...env,
  }, dir, async () => (await fetch(`${server.url}/readyz`)).ok);
  return server;
}

/** @returns {Promise<Server>} */
export async function startServer() {
  if (process.env.DIEMCAU_URL) {
    return new Server(
      process.env.DIEMCAU_URL.replace(/\/$/, ''),
      process.env.DIEMCAU_KEY ?? demoKey,
      process.env.DIEMCAU_SECRET ?? demoSecret,
    );
  }
  const [http, tcp, udp] = [await freeTCPPort(), await freeTCPPort(), await freeUDPPort()];
  const [listen, url] = [`127.0.0.1:${http}`, `http://127.0.0.1:${http}`];
  return startDemo({ url, listen, tcp, udp, ready: async () => (await fetch(`${url}/readyz`)).ok });
}

/**
 * Starts the server on the server host of a network, where every port is free. It serves
 * HTTPS there, for its address is not loopback.
 * @param {import('./network.mjs').Network} network
 * @param {{https: number, tcp: number, udp: number}} ports
 * @returns {Promise<Server>}
 */
export function startServerOn(network, { https, tcp, udp }) {
  const listen = `${network.serverAddress}:${https}`;
  const url = `https://${listen}`;
  const ready = async () => (await network.fetchUnverified(`${url}/readyz`)).length > 0;
  return startDemo({ url, listen, tcp, udp, prefix: network.onServer(), ready });
}

// A server and a client as two hosts with a cable between them: network namespaces made by
// loadtest/netns.sh. The client host has no other way out, and its browsers trust only the
// authorities they are given.
import { execFile, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { env, find, launchChromiumBy, mustBeAble } from './host.mjs';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../../../loadtest/netns.sh', import.meta.url));

export class Network {
  #name;
  #dir;
  #atExit = () => {
    spawnSync(script, ['down', this.#name], { env });
    this.#clear();
  };

  /** Makes the two hosts. Take them down again with down(). */
  static async up() {
    mustBeAble(['ip', 'nft', 'certutil', 'curl']);
    const network = new Network();
    await network.#make();
    return network;
  }

  async #make() {
    this.#name = `e2e-${process.pid}`;
    // A test process that dies must not leave its namespaces behind.
    process.once('exit', this.#atExit);
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, Network.#end);
    const { stdout } = await run(script, ['up', this.#name], { env });
    const made = Object.fromEntries(stdout.trim().split('\n').map((line) => line.split('=')));
    this.serverNamespace = made.SERVER_NS;
    this.clientNamespace = made.CLIENT_NS;
    this.serverAddress = made.SERVER_ADDR;
    this.#dir = await mkdtemp(join(tmpdir(), 'diemcau-e2e-client-'));
  }

  static #end = () => process.exit(1);

  /** What goes before a command line to run it on the server host. */
  onServer() {
    return [find('ip'), 'netns', 'exec', this.serverNamespace];
  }

  /** Runs a command on the client host and gives what it prints. */
  async #onClient(...command) {
    const { stdout } = await run(find('ip'), ['netns', 'exec', this.clientNamespace, ...command], { env });
    return stdout;
  }

  /** Fetches from the client host as someone does who clicks the certificate warning away. */
  fetchUnverified(url) {
    return this.#onClient('curl', '--silent', '--show-error', '--fail', '--insecure', '--max-time', '5', url);
  }

  /**
   * Starts Chromium on the client host, in a home of its own.
   * @param {string} [authority] certificate to trust, PEM; nothing is trusted without
   */
  async launchChromium(authority) {
    return launchChromiumBy([find('ip'), 'netns', 'exec', this.clientNamespace], this.#dir, { authority });
  }

  /**
   * Runs body while everything that the client host sends to a UDP port is dropped.
   * Gives the number of packets that were.
   */
  async withoutUDP(port, body) {
    await this.#onClient('nft', `table inet e2e {
      chain out {
        type filter hook output priority 0;
        udp dport ${port} counter drop
      }
    }`);
    try {
      await body();
      const listing = await this.#onClient('nft', 'list', 'table', 'inet', 'e2e');
      return Number(/counter packets (\d+)/.exec(listing)[1]);
    } finally {
      await this.#onClient('nft', 'delete', 'table', 'inet', 'e2e');
    }
  }

  /** Removes the hosts; what still ran there should have been ended before. */
  async down() {
    await run(script, ['down', this.#name], { env });
    process.off('exit', this.#atExit);
    for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, Network.#end);
    this.#clear();
  }

  #clear() {
    if (this.#dir) rmSync(this.#dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

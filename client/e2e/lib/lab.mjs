// A network laboratory: `diemcau loadtest impair`, which joins a network namespace to this
// host by links that delay, lose and queue packets as a specification says.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { find, launchChromiumBy, mustBeAble } from './host.mjs';
import { until } from './poll.mjs';
import { binary } from './server.mjs';
import { temporaryDirectory } from './temporary.mjs';

const program = process.env.LAB_BIN ?? binary;

export class Lab {
  #process;
  #dir;
  #ended = false;
  #waiting = []; // resolvers of stats that were asked for
  #stderr = '';

  /** Changes of links so far: {link, phase, index, at}, at in ms since 1970. */
  phases = [];

  /**
   * Makes the network, with the first phase of every link. Take it down with down().
   * @param {object} spec as loadtest/impair reads it
   */
  static async up(spec) {
    mustBeAble(['ip', 'nsenter', 'certutil']);
    const lab = new Lab();
    await lab.#make(spec);
    return lab;
  }

  async #make(spec) {
    this.#dir = await temporaryDirectory('diemcau-lab-');
    const file = join(this.#dir.path, 'spec.json');
    await writeFile(file, JSON.stringify(spec));
    // It ends when this process does, by the end of its standard input.
    this.#process = spawn(program, ['loadtest', 'impair', '--spec', file], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#process.once('error', (err) => { this.#stderr += err.message; this.#ended = true; });
    this.#process.once('exit', () => { this.#ended = true; });
    this.#process.stdin.on('error', () => {}); // it ended first, which #say and down report
    this.#process.stderr.setEncoding('utf8').on('data', (text) => { this.#stderr += text; });
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#read(JSON.parse(line)));
    try {
      await until('the lab is ready', () => this.namespace || this.#ended);
      if (this.#ended) throw new Error(`the lab ended: ${this.#stderr}`);
    } catch (err) {
      await this.down();
      throw err;
    }
  }

  #read(report) {
    switch (report.event) {
      case 'ready':
        Object.assign(this, { host4: report.host4, host6: report.host6, network: report.network, namespace: report.namespace });
        break;
      case 'phase':
        this.phases.push(report);
        break;
      case 'stats':
        this.#waiting.shift()?.(report.links);
        break;
      default:
        this.#stderr += `${JSON.stringify(report)}\n`;
    }
  }

  #say(line) {
    if (this.#ended) throw new Error(`the lab ended: ${this.#stderr}`);
    this.#process.stdin.write(`${line}\n`);
  }

  /** This host's address as a URL has it. */
  get urlHost() {
    return this.host4 ?? `[${this.host6}]`;
  }

  /** Lets time run. Gives when the first phase of the first link began, ms since 1970. */
  async start() {
    this.#say('start');
    return until('time runs in the lab', () => this.phases[0]?.at);
  }

  /** Waits for a phase of a link; gives when it began, ms since 1970. */
  async began(link, phase, within) {
    const found = () => this.phases.find((p) => p.link === link && p.phase === phase);
    return (await until(`${link} is in phase ${phase}`, found, { within })).at;
  }

  /** What the links did so far, as impair.LinkStats. */
  stats() {
    this.#say('stats');
    return new Promise((resolve) => { this.#waiting.push(resolve); });
  }

  /** Starts Chromium behind the network. wants as of launchChromiumBy. */
  launchChromium(wants) {
    return launchChromiumBy([find('nsenter'), `--net=${this.namespace}`], this.#dir.path, wants);
  }

  async down() {
    if (!this.#ended) {
      const ended = once(this.#process, 'exit');
      this.#process.stdin.end();
      const timer = setTimeout(() => this.#process.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(timer);
    }
    this.#dir.remove();
    if (this.#stderr) throw new Error(`the lab said: ${this.#stderr}`);
  }
}

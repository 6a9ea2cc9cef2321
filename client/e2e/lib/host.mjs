// Chromium on another host than this one: started by a command that enters its network
// namespace, in a home of its own, where it trusts only the authorities it is given.
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { chromiumPath, launchChromium } from './browsers.mjs';

const run = promisify(execFile);
// Tools of the administrator, which Debian keeps out of other people's PATH.
const path = `${process.env.PATH}:/usr/sbin:/sbin`;
export const env = { ...process.env, PATH: path };
const packages = { ip: 'iproute2', nft: 'nftables', nsenter: 'util-linux', certutil: 'libnss3-tools', curl: 'curl', openssl: 'openssl', ffmpeg: 'ffmpeg' };

/** The file of a program, or undefined. */
export function find(program) {
  return path.split(':').map((dir) => join(dir, program)).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Fails unless this is root and the programs are there. */
export function mustBeAble(programs) {
  if (process.getuid() !== 0) throw new Error('network namespaces need root');
  const missing = programs.filter((program) => !find(program));
  if (missing.length > 0) {
    throw new Error(`missing: ${missing.join(', ')}; on Debian: apt-get install ${missing.map((name) => packages[name]).join(' ')}`);
  }
}

/**
 * Starts Chromium by a command.
 * @param {string[]} prefix what goes before its command line
 * @param {string} dir where its home is made
 * @param {{authority?: string, flags?: string[]}} [wants] authority: certificate to trust, PEM
 */
export async function launchChromiumBy(prefix, dir, { authority, flags = [] } = {}) {
  const home = await mkdtemp(join(dir, 'home-'));
  const database = join(home, '.pki', 'nssdb');
  await mkdir(database, { recursive: true });
  await run('certutil', ['-N', '-d', `sql:${database}`, '--empty-password'], { env });
  if (authority) {
    const file = join(home, 'ca.crt');
    await writeFile(file, authority);
    await run('certutil', ['-A', '-d', `sql:${database}`, '-n', 'diemcau', '-t', 'C,,', '-i', file], { env });
  }
  const wrapper = join(home, 'chromium');
  await writeFile(wrapper, `#!/bin/sh\nexec ${prefix.join(' ')} "${chromiumPath}" "$@"\n`, { mode: 0o755 });
  const { XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_CACHE_HOME, ...rest } = process.env;
  return launchChromium(flags, { executablePath: wrapper, env: { ...rest, HOME: home } });
}

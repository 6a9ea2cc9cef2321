// Makes the first administrator of a server, as who installs it does.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { binary } from './server.mjs';

/** @param {import('./server.mjs').Server} server started by startOpenServer */
export async function createAdministrator(server, { login, name, password }) {
  const running = promisify(execFile)(binary, ['admin', 'create', '--data', server.dir, '--login', login, '--name', name], {
    env: { ...process.env, DIEMCAU_KEYS__e2e: server.secret },
  });
  running.child.stdin.end(`${password}\n`);
  await running;
}

// What a test file needs once: a server, the bare page and its browsers.
import { after, before } from 'node:test';

import { launchChromium, launchFirefox } from './browsers.mjs';
import { Peer, withPeers } from './peer.mjs';
import { startServer } from './server.mjs';
import { serveBarePage } from './static.mjs';

/** Calls every closer, the last added first, also when one fails; then fails as the first that did. */
export async function closeAll(closers) {
  const failures = [];
  for (const close of closers.reverse()) {
    try {
      await close();
    } catch (err) {
      failures.push(err);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** Prints the server's log where that was asked for. */
export function showLog(server) {
  if (process.env.DIEMCAU_E2E_LOG && server?.log) console.log(server.log);
}

/**
 * Registers set-up and tear-down with the test runner.
 * @param {{firefox?: boolean, chromiumFlags?: string[]}} [wants]
 */
export function fixture({ firefox = false, chromiumFlags = [] } = {}) {
  const the = {
    /** Opens one page per named browser, hands them to body, closes them. */
    peers(names, body, options) {
      const openers = names.map((name) => () => Peer.open(the[name], the.page.url, the.server, options));
      return withPeers(openers, body);
    },
  };
  const closers = [];

  before(async () => {
    the.server = await startServer();
    closers.push(() => the.server.stop());
    the.page = await serveBarePage();
    closers.push(() => the.page.stop());
    the.chromium = await launchChromium(chromiumFlags);
    closers.push(() => the.chromium.close());
    if (firefox) {
      the.firefox = await launchFirefox();
      closers.push(() => the.firefox.close());
    }
  }, { timeout: 200_000 });

  after(async () => {
    try {
      await closeAll(closers);
    } finally {
      showLog(the.server);
    }
  }, { timeout: 30_000 });

  return the;
}

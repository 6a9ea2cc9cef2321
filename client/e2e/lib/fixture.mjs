// What a test file needs once: a server, the bare page and its browsers.
import { after, before } from 'node:test';

import { launchChromium, launchFirefox } from './browsers.mjs';
import { Peer, withPeers } from './peer.mjs';
import { startServer } from './server.mjs';
import { serveBarePage } from './static.mjs';

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
    for (const close of closers.reverse()) await close();
    if (process.env.DIEMCAU_E2E_LOG && the.server?.log) console.log(the.server.log);
  }, { timeout: 30_000 });

  return the;
}

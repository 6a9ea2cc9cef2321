// Serves the bare page and the stock livekit-client bundle, on loopback unless told otherwise.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);
const files = {
  '/': ['bare/index.html', 'text/html; charset=utf-8'],
  '/bare.js': ['bare/bare.js', 'text/javascript; charset=utf-8'],
  '/bench.js': ['bench/page.js', 'text/javascript; charset=utf-8'],
  '/voices.js': ['bare/voices.js', 'text/javascript; charset=utf-8'],
  '/portrait.js': ['bare/portrait.js', 'text/javascript; charset=utf-8'],
  '/e2ee-worker.js': ['node_modules/livekit-client/dist/livekit-client.e2ee.worker.js', 'text/javascript; charset=utf-8'],
  '/livekit-client.js': ['node_modules/livekit-client/dist/livekit-client.umd.js', 'text/javascript; charset=utf-8'],
};

/** @returns {Promise<{url: string, stop: () => Promise<void>}>} */
export async function serveBarePage(host = '127.0.0.1') {
  const server = createServer(async (request, response) => {
    const found = files[new URL(request.url, 'http://localhost').pathname];
    if (!found) {
      response.writeHead(404).end();
      return;
    }
    const body = await readFile(fileURLToPath(new URL(found[0], root)));
    response.writeHead(200, { 'content-type': found[1] }).end(body);
  });
  server.listen(0, host);
  await once(server, 'listening');
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${server.address().port}/`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

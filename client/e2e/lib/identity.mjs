// An OpenID Connect provider on this machine, with people who sign in by typing their name.
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

/**
 * Starts a provider whose one client comes back to redirect.
 * @param {{client: string, secret: string, redirect: string, afterLogout: string}} registration
 * @param {Record<string, object>} people claims by login
 */
export async function startProvider({ client, secret, redirect, afterLogout }, people) {
  let handle = (_, answer) => answer.writeHead(503).end();
  const server = createServer((request, answer) => handle(request, answer));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const provider = new Provider(issuer, {
    clients: [{
      client_id: client, client_secret: secret, redirect_uris: [redirect], post_logout_redirect_uris: [afterLogout],
      grant_types: ['authorization_code'], response_types: ['code'],
    }],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'one' }] },
    cookies: { keys: ['a key of the test'] },
    pkce: { required: () => true },
    conformIdTokenClaims: false, // the claims stand in the ID token
    scopes: ['openid', 'profile', 'email'],
    claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'unit', 'roles'], email: ['email'] },
    features: { devInteractions: { enabled: true } },
    findAccount: (_, id) => (people[id] ? { accountId: id, claims: () => ({ sub: id, ...people[id] }) } : undefined),
  });
  handle = provider.callback();
  return {
    issuer,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

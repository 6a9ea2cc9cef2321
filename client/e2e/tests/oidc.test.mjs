// Single sign-on against a certified provider, in a browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium } from '../lib/browsers.mjs';
import { closeAll, showLog } from '../lib/fixture.mjs';
import { startProvider } from '../lib/identity.mjs';
import { freePorts, startOpenServer } from '../lib/server.mjs';
import { createAdministrator } from '../lib/admin.mjs';

const client = { client: 'diemcau', secret: 'a secret of the test' };
const people = {
  hong: { name: 'Nguyễn Thu Hồng', preferred_username: 'hong.nt', email: 'hong@tinh.vn', unit: 'GOC', roles: ['thu-ky', 'gi-do-khac'] },
  boss: { name: 'Kẻ Mạo Danh', preferred_username: 'quantri', email: 'x@tinh.vn', unit: 'GOC', roles: ['quan-tri'] },
};

const closers = [];
let server;
let browser;

before(async () => {
  const ports = await freePorts();
  const url = `http://127.0.0.1:${ports.http}`;
  const provider = await startProvider({ ...client, redirect: `${url}/api/v1/oidc/callback`, afterLogout: `${url}/` }, people);
  closers.push(() => provider.stop());
  server = await startOpenServer({
    DIEMCAU_PUBLIC_URL: url,
    DIEMCAU_OIDC__ISSUER: provider.issuer,
    DIEMCAU_OIDC__CLIENT_ID: client.client,
    DIEMCAU_OIDC__CLIENT_SECRET: client.secret,
    DIEMCAU_OIDC__ROLES: 'thu-ky=secretary,quan-tri=administrator',
  }, ports);
  closers.push(() => server.stop());
  await createAdministrator(server, { login: 'quantri', name: 'Quản trị', password: 'mot-mat-khau-dai' });
  browser = await launchChromium();
  closers.push(() => browser.close());
}, { timeout: 60_000 });

after(async () => {
  try {
    await closeAll(closers);
  } finally {
    showLog(server);
  }
}, { timeout: 30_000 });

/** Signs somebody in at the provider, in a browser of their own. */
async function signIn(login, body) {
  const { page, close } = await browser.open();
  try {
    await page.goto(`${server.url}/api/v1/oidc/start?return_to=/`);
    await page.locator('input[name=login]').fill(login);
    await page.locator('input[name=password]').fill('whatever');
    await page.locator('button[type=submit]').click();
    await page.locator('button[type=submit]').click(); // consent
    await page.waitForURL((to) => to.href.startsWith(`${server.url}/`) && !to.pathname.startsWith('/api/'));
    await body(page);
  } finally {
    await close();
  }
}

const get = (page, path) => page.evaluate(async (at) => {
  const answer = await fetch(at);
  return { status: answer.status, body: await answer.json() };
}, path);

test('who signs in at the provider is somebody here, with the roles that are mapped', { timeout: 60_000 }, async () => {
  await signIn('hong', async (page) => {
    const { status, body } = await get(page, '/api/v1/me');
    assert.equal(status, 200);
    assert.match(JSON.stringify(body), /Nguyễn Thu Hồng/);
    assert.match(JSON.stringify(body), /secretary/);
    assert.doesNotMatch(JSON.stringify(body), /administrator/);
    const cookies = (await page.context().cookies(server.url)).filter((c) => c.name.includes('diemcau'));
    assert.ok(cookies.length > 0 && cookies.every((c) => c.httpOnly), 'no script reads a cookie');
    // The same person again is the same user.
    await signIn('hong', async (again) => {
      assert.equal((await get(again, '/api/v1/session')).body.id, (await get(page, '/api/v1/session')).body.id);
    });
    // Signing out here ends the session here.
    const left = await page.evaluate(async () => {
      const session = await (await fetch('/api/v1/session')).json();
      await fetch('/api/v1/session', { method: 'DELETE', headers: { 'X-CSRF-Token': session.csrfToken } });
      return (await fetch('/api/v1/session')).status;
    });
    assert.equal(left, 401);
  });
});

test('a login that is somebody else\'s gives nothing', { timeout: 60_000 }, async () => {
  await signIn('boss', async (page) => {
    assert.match(page.url(), /error=/, 'the page is told');
    assert.equal((await get(page, '/api/v1/session')).status, 401);
  });
});

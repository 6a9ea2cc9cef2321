// The two browsers under test behind one small interface, so that a test reads the
// same for Chromium (playwright-core, CDP) and Firefox (puppeteer-core, WebDriver BiDi).
import { access, constants } from 'node:fs/promises';

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

export const chromiumPath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const firefoxPath = process.env.FIREFOX ?? '/usr/bin/firefox-esr';
const launchTimeout = 90_000; // Firefox makes a profile first, which takes long on a busy machine
const actionTimeout = 15_000;

const chromiumFlags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream=fps=20',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--auto-accept-this-tab-capture',
];

const firefoxPreferences = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  // The GMP codecs (OpenH264) would be looked for on a foreign host.
  'media.gmp-manager.updateEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

async function mustRun(path, variable) {
  try {
    await access(path, constants.X_OK);
  } catch {
    throw new Error(`no browser at ${path}; install it or name it with ${variable}`);
  }
}

const selector = (testid) => `[data-testid="${testid}"]`;

/**
 * One page of a browser. evaluate, goto and screenshot as in both drivers; elements are
 * named by data-testid (or a CSS selector where the argument starts with "css:").
 */
class Tab {
  problems = [];

  constructor(page, kind, close) {
    this.page = page;
    this.kind = kind;
    this.close = close;
    page.on('pageerror', (err) => this.problems.push(err.message ?? String(err)));
  }

  static css(target) {
    return target.startsWith('css:') ? target.slice(4) : selector(target);
  }

  /** Runs fn in every document of this tab before its own scripts. */
  async inEveryDocument(fn) {
    if (this.kind === 'chromium') await this.page.addInitScript(fn);
    else await this.page.evaluateOnNewDocument(fn);
  }

  goto(url) {
    return this.page.goto(url, { waitUntil: 'load', timeout: 30_000 });
  }

  reload() {
    return this.page.reload({ waitUntil: 'load', timeout: 30_000 });
  }

  evaluate(fn, argument) {
    return this.page.evaluate(fn, argument);
  }

  /** Waits until the element can be seen. */
  async see(target, within = actionTimeout) {
    const css = Tab.css(target);
    if (this.kind === 'chromium') await this.page.locator(css).first().waitFor({ state: 'visible', timeout: within });
    else await this.page.waitForSelector(css, { visible: true, timeout: within });
  }

  async click(target) {
    const css = Tab.css(target);
    if (this.kind === 'chromium') await this.page.locator(css).first().click({ timeout: actionTimeout });
    else await this.page.locator(css).setTimeout(actionTimeout).click();
  }

  async fill(target, text) {
    const css = Tab.css(target);
    if (this.kind === 'chromium') await this.page.locator(css).first().fill(text, { timeout: actionTimeout });
    else await this.page.locator(css).setTimeout(actionTimeout).fill(text);
  }

  press(key) {
    return this.page.keyboard.press(key);
  }

  /** The text of the first match, or null. */
  text(target) {
    return this.evaluate((css) => document.querySelector(css)?.textContent ?? null, Tab.css(target));
  }

  has(target) {
    return this.evaluate((css) => document.querySelector(css) !== null, Tab.css(target));
  }

  async screenshot(path) {
    await this.page.screenshot({ path });
  }
}

/**
 * @param {string[]} [more] further command line flags
 * @param {{executablePath?: string, env?: Record<string, string>}} [how] a program that runs
 *   Chromium in its stead, and its environment
 */
export async function launchChromium(more = [], { executablePath = chromiumPath, env = process.env } = {}) {
  await mustRun(chromiumPath, 'CHROMIUM');
  const browser = await chromium.launch({
    executablePath,
    env,
    headless: true,
    timeout: launchTimeout,
    args: [...chromiumFlags, ...more],
  });
  return {
    name: 'chromium',
    /** Opens a page in a profile of its own. options as of playwright's newContext. */
    async open(options = {}) {
      const context = await browser.newContext({
        permissions: ['camera', 'microphone'],
        viewport: { width: 1366, height: 768 },
        locale: 'vi-VN',
        ...options,
      });
      return new Tab(await context.newPage(), 'chromium', () => context.close());
    },
    close: () => browser.close(),
  };
}

export async function launchFirefox() {
  await mustRun(firefoxPath, 'FIREFOX');
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: firefoxPath,
    headless: true,
    protocol: 'webDriverBiDi',
    extraPrefsFirefox: firefoxPreferences,
    timeout: launchTimeout,
    protocolTimeout: 60_000,
  });
  return {
    name: 'firefox',
    async open() {
      const context = await browser.createBrowserContext();
      const page = await context.newPage();
      return new Tab(page, 'firefox', () => context.close());
    },
    close: () => browser.close(),
  };
}

// Our own page, as people use it: in two Chromium windows and a Firefox.
import assert from 'node:assert/strict';
import test from 'node:test';

import { AxeBuilder } from '@axe-core/playwright';

import { fixture } from '../lib/fixture.mjs';
import { newRoom, withPeers } from '../lib/peer.mjs';
import { until } from '../lib/poll.mjs';
import { Visitor } from '../lib/visitor.mjs';

const the = fixture({ firefox: true });

const chairman = 'Nguyễn Văn Thưởng';
const officer = 'Lò Thị Hường — xã Ngọc Chiến';
const secretary = 'Đặng Quỳnh Như';

const phone = {
  viewport: { width: 360, height: 640 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
  userAgent: 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36',
};

const visitor = (browser, name, options) => () => Visitor.open(the[browser], the.server, name, options);

function noProblems(...visitors) {
  for (const someone of visitors) assert.deepEqual(someone.tab.problems, [], `errors in the page of ${someone.name}`);
}

async function noSeriousViolations(someone, where) {
  // The announcer of react-aria keeps a spoken line for some seconds, also when the button it
  // was read from (join, while joining) is gone.
  await until('the announcement is over', async () => !await someone.tab.has('css:[data-live-announcer] [role="img"]'));
  const { violations } = await new AxeBuilder({ page: someone.tab.page }).analyze();
  const serious = violations.filter((v) => ['serious', 'critical'].includes(v.impact));
  const nodes = (violation) => violation.nodes.map((n) => `${n.target.join(' ')} ${n.html.slice(0, 160)}`).join('; ');
  const report = serious.map((violation) => `${violation.id}: ${violation.help}: ${nodes(violation)}`);
  assert.deepEqual(report, [], `axe in ${where}`);
}

test('three people meet: two Chromium, one Firefox', { timeout: 180_000 }, async (t) => {
  const openers = [visitor('chromium', chairman), visitor('chromium', officer), visitor('firefox', secretary)];
  await withPeers(openers, async (one, two, three) => {
    const room = newRoom();

    await t.test('lobby, green room, stage', async () => {
      for (const [someone, peerConnections] of [[one, 1], [two, 2], [three, undefined]]) await someone.goIn(room, peerConnections);
    });

    await t.test('everybody sees and hears everybody', async () => {
      for (const someone of [one, two, three]) {
        for (const other of [one, two, three]) {
          if (other !== someone) await someone.sees(other.name);
        }
        await someone.hears(2);
      }
    });

    await t.test('chat in Vietnamese, each way', async () => {
      const lines = [[one, 'Kính thưa các đồng chí, cuộc họp bắt đầu lúc 8 giờ.'], [three, 'Rõ ạ! Đã nghe rõ, thấy rõ <b>hình ảnh</b>.']];
      for (const [from, text] of lines) {
        await from.say(text);
        for (const reader of [one, two, three]) await reader.reads(text);
      }
    });

    await t.test('mute and unmute are shown to the others', async () => {
      for (const [from, watchers] of [[two, [one, three]], [three, [one, two]]]) {
        for (const state of ['off', 'on']) {
          await from.tab.click('control-mic');
          for (const watcher of watchers) {
            await until(`${watcher.name} sees the microphone of ${from.name} ${state}`,
              async () => (await watcher.tile(from.name))?.mic === state);
          }
        }
      }
    });

    await t.test('camera off and on', async () => {
      await two.tab.click('control-camera');
      await until('no picture', async () => (await one.tile(officer))?.video === 'off');
      await two.tab.click('control-camera');
      await one.sees(officer);
    });

    await t.test('screen share', async () => {
      await one.tab.click('control-share');
      await two.sees(chairman, 'screen');
      await three.sees(chairman, 'screen');
      await two.sees(chairman, 'camera');
      await one.tab.click('control-share');
      await until('the share ends', async () => await two.tile(chairman, 'screen') === null);
    });

    await t.test('reload and come back', async () => {
      await two.tab.reload();
      await until('green room or stage', async () => await two.tab.has('join') || await two.tab.has('stage'));
      if (await two.tab.has('join')) await two.joinFromGreenRoom();
      else await two.onStage();
      for (const [someone, other] of [[one, two], [two, one], [three, two], [two, three]]) await someone.sees(other.name);
      await two.hears(2);
      const tiles = await one.tab.evaluate((name) => new Set([...document.querySelectorAll(`[data-name="${name}"][data-participant][data-source="camera"]`)]
        .map((tile) => tile.dataset.participant)).size, officer);
      assert.equal(tiles, 1, 'no ghost of the first visit');
    });

    await t.test('leave and rejoin', async () => {
      await three.leave();
      await until('gone', async () => await one.tile(secretary) === null);
      await three.tab.click('rejoin');
      await until('green room or stage', async () => await three.tab.has('join') || await three.tab.has('stage'));
      if (await three.tab.has('join')) await three.joinFromGreenRoom();
      await one.sees(secretary);
      await three.sees(chairman);
    });

    noProblems(one, two, three);
  });
});

test('the language is switched and remembered', { timeout: 60_000 }, async () => {
  await withPeers([visitor('chromium', chairman)], async (one) => {
    await one.goIn(newRoom());
    const language = () => one.tab.evaluate(() => document.documentElement.lang);
    const label = () => one.tab.evaluate(() => document.querySelector('[data-testid="control-leave"]').ariaLabel
      ?? document.querySelector('[data-testid="control-leave"]').textContent);
    assert.equal(await language(), 'vi');
    const vietnamese = await label();
    await one.tab.click('control-settings');
    await one.tab.see('settings');
    await one.tab.click('language-en');
    await until('the page speaks English', async () => await language() === 'en');
    assert.notEqual(await label(), vietnamese);
    assert.match(await label(), /leave/i);
    await one.tab.reload();
    assert.equal(await language(), 'en');
    noProblems(one);
  });
});

/** In the page: interactive elements that can be seen, with their boxes in CSS pixels. */
function readTargets() {
  const box = (element) => {
    const { left, top, right, bottom, width, height } = element.getBoundingClientRect();
    return { left, top, right, bottom, width, height };
  };
  // Dialogs keep a dismiss button for screen readers in a box of one pixel: nothing to touch.
  const forReadersOnly = (element) => {
    for (let up = element; up; up = up.parentElement) {
      if (up.getBoundingClientRect().width <= 1 && getComputedStyle(up).overflow !== 'visible') return true;
    }
    return false;
  };
  const wanted = 'button, a[href], input, select, textarea, [role="button"], [role="switch"], [role="radio"], [role="tab"]';
  return {
    scrollWidth: document.scrollingElement.scrollWidth,
    width: document.documentElement.clientWidth,
    height: window.innerHeight,
    targets: [...document.querySelectorAll(wanted)]
      .map((element) => element.closest('label') ?? element)
      .filter((element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
        && !forReadersOnly(element) && !element.closest('[aria-hidden="true"], [inert]'))
      .map((element) => ({ name: element.dataset.testid ?? element.ariaLabel ?? element.textContent.slice(0, 40), ...box(element) })),
  };
}

function checkPhoneLayout({ scrollWidth, width, height, targets }, where, whole) {
  assert.ok(scrollWidth <= width, `${where}: ${scrollWidth} px wide on a screen of ${width}`);
  assert.ok(targets.length > 0, `${where}: nothing to touch`);
  const small = targets.filter((t) => t.width < 44 || t.height < 44).map((t) => `${t.name} ${t.width}x${t.height}`);
  assert.deepEqual(small, [], `${where}: targets under 44 px`);
  const outside = targets.filter((t) => t.left < 0 || t.right > width || (whole && (t.top < 0 || t.bottom > height)));
  assert.deepEqual(outside.map((t) => `${t.name} ${JSON.stringify(t)}`), [], `${where}: outside the screen`);
}

test('on a phone of 360x640', { timeout: 120_000 }, async (t) => {
  await withPeers([visitor('chromium', officer, phone), visitor('chromium', chairman)], async (small, large) => {
    const room = newRoom();
    await large.goIn(room);
    const layout = () => small.tab.evaluate(readTargets);

    await t.test('lobby and green room', async () => {
      await small.tab.goto(`${the.server.url}/`);
      await small.tab.see('lobby');
      checkPhoneLayout(await layout(), 'lobby', false);
      await small.enterLobby(room);
      checkPhoneLayout(await layout(), 'green room', false);
      await noSeriousViolations(small, 'green room on a phone');
    });
    await t.test('stage', async () => {
      await small.joinFromGreenRoom();
      await small.sees(chairman);
      await small.hears(1);
      checkPhoneLayout(await layout(), 'stage', true);
      await noSeriousViolations(small, 'stage on a phone');
    });
    await t.test('chat', async () => {
      const open = async () => {
        if (!await small.tab.has('control-chat')) await small.tab.click('control-more');
        await small.tab.click('control-chat');
        await small.tab.see('chat-input');
      };
      await open();
      checkPhoneLayout(await layout(), 'chat', false);
      await small.say('Em chào các bác ạ');
      await large.reads('Em chào các bác ạ');
    });
    noProblems(small, large);
  });
});

test('no serious finding of axe in lobby, green room, stage and panels', { timeout: 150_000 }, async () => {
  await withPeers([visitor('chromium', chairman), visitor('chromium', officer)], async (one, two) => {
    const room = newRoom();
    await two.goIn(room);
    await one.tab.goto(`${the.server.url}/`);
    await one.tab.see('lobby');
    await noSeriousViolations(one, 'lobby');
    await one.enterLobby(room);
    await noSeriousViolations(one, 'green room');
    await one.joinFromGreenRoom();
    await one.sees(officer);
    await noSeriousViolations(one, 'stage');
    await one.say('xin chào');
    await one.reads('xin chào');
    await noSeriousViolations(one, 'stage with chat');
  });
});

test('by keyboard alone: lobby, join, mute, leave', { timeout: 120_000 }, async () => {
  await withPeers([visitor('chromium', secretary)], async (one) => {
    const tab = one.tab;
    /** Goes on with Tab until the focus is in the named element. */
    const reach = (testid) => until(`Tab reaches ${testid}`, async () => {
      const there = await tab.evaluate((id) => document.activeElement?.closest(`[data-testid="${id}"]`) !== null
        && document.activeElement !== document.body, testid);
      if (!there) await tab.press('Tab');
      return there;
    }, { within: 10_000, every: 20 });
    await tab.goto(`${the.server.url}/`);
    await tab.see('lobby');
    await reach('lobby-name');
    await tab.page.keyboard.insertText(secretary);
    await reach('lobby-room');
    await tab.press('Control+a');
    await tab.page.keyboard.insertText(newRoom());
    await tab.press('Enter');
    await tab.see('green-room');
    await reach('join');
    await tab.press('Enter');
    await one.onStage();
    await until('microphone on', async () => (await one.tile(secretary))?.mic === 'on');
    await reach('control-mic');
    await tab.press('Space');
    await until('microphone off', async () => (await one.tile(secretary))?.mic === 'off');
    await reach('control-leave');
    await tab.press('Enter');
    await until('asked or gone', async () => await tab.has('leave-confirm') || await tab.has('left'));
    if (await tab.has('leave-confirm')) {
      await reach('leave-confirm');
      await tab.press('Enter');
    }
    await tab.see('left');
  });
});

// The scenarios: what the network is like, what is measured, and what is expected.
//
// measure(stage) gives figures {name, value, unit, limit}: good if value <= limit, or
// {name, value, want}: good if they are equal; and more to tell, as an object.
import { measureFor, until } from '../lib/poll.mjs';
import * as f from './figures.mjs';
import { hall } from './hall.mjs';

const second = 1000;
const settle = 4 * second; // with nothing but the top layer shown, before anything is measured

/** Joins, waits for the top layer, lets the lab's time run for so long, and gives what was seen. */
async function watch(stage, length) {
  const joined = await stage.join();
  if (!joined.ok) throw new Error(`the subscriber could not join: ${JSON.stringify(joined.error)}`);
  await stage.steady(1280, settle);
  const start = await stage.lab.start();
  await measureFor(start + length + 200 - Date.now());
  const route = await stage.route();
  return { ...await stage.seen(), start, end: start + length, route, lab: await stage.lab.stats() };
}

const rounded = (value, digits = 2) => (Number.isFinite(value) ? Number(value.toFixed(digits)) : value);
const seconds = (ms) => rounded(ms / 1000);
const percent = (share) => rounded(share * 100);

/** The figures of a picture and its sound over a whole run, and what explains them. */
function quality({ shown, samples, start, end, route, lab }, limits) {
  const frozen = f.freezes(shown, start, end);
  const [first, last] = [samples.findLast((s) => s.at <= start), samples.findLast((s) => s.at <= end)];
  return {
    figures: [
      { name: 'frozen', value: seconds(f.total(frozen)), unit: 's', limit: limits.frozen },
      { name: 'concealed', value: percent(f.concealed(samples, start, end)), unit: '%', limit: limits.concealed },
    ],
    more: {
      freezes: frozen.map(({ start: at, length }) => [seconds(at - start), seconds(length)]),
      longerThan500ms: seconds(f.total(f.pauses(shown, start, end).filter(({ length }) => length > 500))),
      ofBrowser: { freezes: last.freezes - first.freezes, frozen: rounded(last.frozen - first.frozen) },
      layers: f.layers(shown, start, end).map(({ at, width }) => [seconds(at - start), width]),
      soundMadeUp: f.gapsInSound(samples, start, end),
      kbps: Math.round(f.received(samples, start, end) / 1000),
      frames: last.frames - first.frames,
      lost: last.lost - first.lost,
      nacks: last.nacks - first.nacks,
      plis: last.plis - first.plis,
      keyFrames: last.keyFrames - first.keyFrames,
      route, lab,
    },
  };
}

/** How often widths that went down go up, or the other way round. */
export function turns(widths) {
  const signs = widths.slice(1).map((width, i) => Math.sign(width - widths[i])).filter((sign) => sign !== 0);
  return signs.slice(1).filter((sign, i) => sign !== signs[i]).length;
}

const delayed = (impairment, rtt) => (rtt ? { ...impairment, delay: `${rtt / 2}ms` } : impairment);
const both = (down, rtt) => ({ down: delayed(down, rtt), up: delayed({}, rtt) });

function rate(kbps, rtt) {
  const wide = both({ rate: '2Mbps', queue: '300ms' }, rtt);
  const phase = 20 * second;
  const limits = { frozen: 1.0, concealed: kbps >= 600 ? 1.5 : 2 };
  return {
    about: `2 Mbps, ${kbps} kbps, 2 Mbps, 20 s each, 300 ms queue${rtt ? `, ${rtt} ms RTT` : ''}`,
    spec: { phases: [
      { name: 'wide', for: '20s', ...wide },
      { name: 'narrow', for: '20s', ...both({ rate: `${kbps}kbps`, queue: '300ms' }, rtt) },
      { name: 'wide again', ...wide },
    ] },
    async measure(stage) {
      const seen = await watch(stage, 3 * phase);
      const { figures, more } = quality(seen, limits);
      const [narrow, wideAgain] = [seen.start + phase, seen.start + 2 * phase];
      const changes = f.layers(seen.shown, seen.start, seen.end);
      // While it is narrow only what was shown then counts, and what is shown at its start is no answer to it.
      const down = changes.find(({ at, width }) => at > narrow && width < 1280)?.at ?? Infinity;
      const high = seen.shown.find(([at, width]) => at >= wideAgain && width === 1280)?.[0] ?? Infinity;
      if (kbps >= 600) {
        figures.push(
          { name: 'down after', value: seconds(down - narrow), unit: 's', limit: 2 },
          { name: 'up after', value: seconds(high - wideAgain), unit: 's', limit: 8 },
          { name: 'turns', value: turns(changes.map(({ width }) => width)), limit: 1 }, // down, and up again
        );
      } else {
        figures.push({ name: 'up after', value: seconds(high - wideAgain), unit: 's', limit: 10 });
      }
      more.kbpsByPhase = [0, 1, 2].map((i) =>
        Math.round(f.received(seen.samples, seen.start + i * phase, seen.start + (i + 1) * phase) / 1000));
      return { figures, more };
    },
  };
}

function loss(share, rtt, limits) {
  return {
    about: `${share} % random loss${rtt ? `, ${rtt} ms RTT` : ''}, 25 s`,
    spec: { phases: [
      { name: 'clean', for: '1s', ...both({}, rtt) },
      { name: 'lossy', ...both({ loss: `${share}%` }, rtt) },
    ] },
    async measure(stage) {
      const seen = await watch(stage, 26 * second);
      return quality({ ...seen, start: seen.start + second }, limits);
    },
  };
}

const bursts = {
  about: 'nothing comes through for 300 ms every 5 s, 26 s',
  spec: { phases: [{ name: 'bursts', down: { burst: { every: '5s', for: '300ms' } } }] },
  async measure(stage) {
    const seen = await watch(stage, 26 * second);
    const { figures, more } = quality(seen, {});
    const ends = [1, 2, 3, 4, 5].map((i) => seen.start + i * 5 * second);
    const video = ends.map((end) => seconds(f.steadyAfter(seen.shown, end)));
    const audio = ends.map((end) => seconds(f.soundAfter(seen.samples, end, end + 4 * second)));
    Object.assign(more, { video, audio, frozen: figures[0].value, concealed: figures[1].value });
    return {
      figures: [
        { name: 'video back', value: Math.max(...video), unit: 's', limit: 1 },
        { name: 'audio back', value: Math.max(...audio), unit: 's', limit: 0.3 },
      ],
      more,
    };
  },
};

/** A run that measures how long joining takes on a network, and over what the media come. */
function join(about, { expect, within = 5, ...scenario }) {
  return {
    about,
    ...scenario,
    async measure(stage) {
      const joined = await stage.join();
      let route = null;
      let picture = Infinity;
      let sound = Infinity;
      if (joined.ok) {
        await until('picture and sound', async () => {
          const { shown, samples } = await stage.seen();
          picture = (shown[0]?.[0] ?? Infinity) - joined.asked;
          sound = (samples.find((s) => s.energy > 0)?.at ?? Infinity) - joined.asked;
          return Number.isFinite(picture + sound);
        }, { within: 20 * second }).catch(() => {}); // the figures tell
        route = await stage.route();
      }
      const got = expect.relay ? route?.relay : route?.protocol;
      return {
        figures: [
          { name: 'picture after', value: seconds(picture), unit: 's', limit: within },
          { name: 'sound after', value: seconds(sound), unit: 's', limit: within },
          { name: 'over', value: got ?? 'nothing', want: expect.relay ?? expect.protocol },
        ],
        more: { route, error: joined.error, lab: await stage.lab.stats() },
      };
    },
  };
}

/** permitted: the page has the microphone. Then Chromium uses every network, else that of the default route. */
const handover = (permitted) => ({
  about: `Wi-Fi goes away after 4 s, 4G (50 ms RTT) stays; ${permitted ? 'for one who may speak' : 'for one who only listens'}`,
  permitted,
  spec: { links: [
    { name: 'wifi', phases: [{ name: 'there', for: '4s' }, { name: 'gone', link_down: true }] },
    { name: 'lte', phases: [{ both: { delay: '25ms' } }] },
  ] },
  async measure(stage) {
    const sids = async () => [
      await stage.subscriber.call('sid'),
      ...(await stage.publisher.call('participants')).map(({ sid }) => sid),
    ];
    const watching = watch(stage, 24 * second);
    const before = until('the publisher sees the viewer', async () => {
      const list = await sids();
      return list.length === 2 && list[0] && list[0] === list[1] && list; // before it has joined it has none
    });
    const [seen, first] = await Promise.all([watching, before]);
    const gone = await stage.lab.began('wifi', 'gone');
    const { more } = quality(seen, {});
    more.events = (await stage.subscriber.call('events')).map(({ type }) => type).filter((type) => /onnect/.test(type));
    return {
      figures: [
        { name: 'picture back', value: seconds(f.backAfter(seen.shown, gone, seen.end)), unit: 's', limit: 3 },
        { name: 'same sid', value: String(first.join() === (await sids()).join()), want: 'true' },
      ],
      more,
    };
  },
});

const dynacast = {
  about: 'the only subscriber asks for LOW; the publisher stops sending more',
  room: { dynacast: true },
  spec: {},
  async measure(stage) {
    await stage.join();
    await stage.steady(1280, settle);
    const before = await stage.sent(stage.publisher, second);
    await stage.subscriber.call('askQuality', 'speaker', 'camera', 'LOW');
    const asked = Date.now();
    const course = [];
    let fell = Infinity;
    while (Date.now() < asked + 15 * second) {
      const began = Date.now();
      const { fps, audio, ...layers } = await stage.sent(stage.publisher, second);
      const video = Object.values(layers).reduce((sum, bits) => sum + bits, 0);
      course.push([seconds(began - asked), Math.round(video / 1000)]);
      if (!Number.isFinite(fell) && video < 300_000) fell = began - asked;
    }
    return {
      figures: [{ name: 'less sent after', value: seconds(fell), unit: 's', limit: 6 }],
      more: { before, kbpsByTime: course },
    };
  },
};

const clean = {
  about: 'no impairment, 20 s: what the machine itself costs',
  spec: {},
  async measure(stage) {
    return quality(await watch(stage, 20 * second), { frozen: 0.3, concealed: 0.2 });
  },
};

export const scenarios = {
  clean,
  'rate-600': rate(600),
  'rate-300': rate(300),
  'rate-600-rtt40': rate(600, 40),
  'rate-300-rtt40': rate(300, 40),
  'loss-5': loss(5, 0, { frozen: 0, concealed: 2 }),
  'loss-15': loss(15, 0, { frozen: 2, concealed: 0.8 }),
  'loss-5-rtt100': loss(5, 100, { frozen: 1, concealed: 2 }),
  bursts,
  'join-udp': join('nothing in the way', { expect: { protocol: 'udp' }, spec: {} }),
  'join-tcp': join('UDP blocked: ICE-TCP', { expect: { protocol: 'tcp' }, spec: { phases: [{ both: { block: ['udp'] } }] } }),
  // {host}, {cert} and {key} are filled in. The domain is an address: there is no DNS in the lab.
  'join-turn': join('UDP and the TCP media port blocked: TURN over TLS', {
    expect: { relay: 'tls' },
    certificate: true,
    set: { 'turn.domain': '{host}', 'turn.tls_port': '5349', 'turn.tls_cert': '{cert}', 'turn.tls_key': '{key}' },
    spec: { phases: [{ both: { block: ['udp', 'tcp:{tcp}'] } }] },
  }),
  'join-ipv6': join('only IPv6', { expect: { protocol: 'udp' }, spec: { families: ['ipv6'] } }),
  handover: handover(true),
  'handover-listener': handover(false),
  dynacast,
  hall: hall(215, 20),
};

/** Names that stand for several. */
export const groups = {
  rate: ['rate-600', 'rate-300', 'rate-600-rtt40', 'rate-300-rtt40'],
  loss: ['loss-5', 'loss-15', 'loss-5-rtt100', 'bursts'],
  join: ['join-udp', 'join-tcp', 'join-turn', 'join-ipv6'],
  // Against another server: see --url.
  livekit: ['clean', 'rate-600', 'rate-300', 'rate-600-rtt40', 'rate-300-rtt40', 'loss-5', 'loss-15', 'loss-5-rtt100', 'bursts', 'handover', 'handover-listener', 'dynacast'],
};

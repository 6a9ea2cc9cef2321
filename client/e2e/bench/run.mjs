// npm run bench -- SCENARIO... : our server on bad networks, seen by a real browser.
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import { median } from './figures.mjs';
import { groups, scenarios } from './scenarios.mjs';
import { makeClip, Stage } from './stage.mjs';

const usage = `usage: npm run bench -- [options] SCENARIO...

  --runs N        of each scenario; medians decide (default 1)
  --json FILE     write everything that was measured
  --seed N        of the network's randomness; each run adds one (default 1)
  --fps N         of the camera (default 15)
  --set KEY=VALUE configure the server, as in configs/reference.yaml; {host} in VALUE
                  stands for its address
  --log           print the server's log after each run
  --url URL --key KEY --secret SECRET
                  measure another LiveKit-compatible server; {host} in URL stands for this
                  machine's address in the lab
  --tcp-port N    its TCP media port (default 7881)
  --network N     fixes that address: 10.201.N.1

scenarios:
${Object.entries(scenarios).map(([name, { about }]) => `  ${name.padEnd(15)} ${about}`).join('\n')}
groups: ${Object.entries(groups).map(([name, list]) => `${name} (${list.join(' ')})`).join('; ')}
`;

function fail(message) {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(2);
}

function readOptions() {
  const string = { type: 'string' };
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { ...string, default: '1' }, json: string, seed: { ...string, default: '1' }, fps: { ...string, default: '15' },
      set: { ...string, multiple: true, default: [] }, log: { type: 'boolean' }, help: { type: 'boolean' },
      url: string, key: string, secret: string, 'tcp-port': { ...string, default: '7881' }, network: { ...string, default: '0' },
    },
  });
  if (values.help || positionals.length === 0) {
    process.stdout.write(usage);
    process.exit(values.help ? 0 : 2);
  }
  const number = (name, low, high) => {
    const n = Number(values[name]);
    if (!Number.isInteger(n) || n < low || n > high) fail(`--${name} must be ${low} to ${high}`);
    return n;
  };
  const names = positionals.flatMap((name) => groups[name] ?? [name]);
  for (const name of names) if (!scenarios[name]) fail(`no scenario ${name}; see --help`);
  if (values.url && !(values.key && values.secret)) fail('--url needs --key and --secret');
  if (positionals.includes('livekit') && !values.url) fail('livekit needs --url, --key and --secret of that server');
  const set = Object.fromEntries(values.set.map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) fail(`--set ${pair}: write KEY=VALUE`);
    return [pair.slice(0, at), pair.slice(at + 1)];
  }));
  return {
    ...values, set, names, runs: number('runs', 1, 100), seed: number('seed', 0, 1e9), fps: number('fps', 5, 30),
    tcpPort: number('tcp-port', 1, 65_535), network: number('network', 0, 254),
  };
}

export const good = ({ value, limit, want }) => (want === undefined ? limit === undefined || value <= limit : value === want);

function text(figure) {
  const { name, value, unit = '', limit, want } = figure;
  const bound = want === undefined ? `≤ ${limit}` : `= ${want}`;
  return `${name} ${Number.isFinite(value) || typeof value === 'string' ? value : 'never'}${unit && ` ${unit}`} (${bound})${good(figure) ? '' : ' MISSED'}`;
}

export const line = (label, figures) =>
  `${label.padEnd(22)} ${figures.every(good) ? 'pass' : 'FAIL'}  ${figures.map(text).join('  ')}`;

/** One run: {scenario, figures, sending, more}. */
export async function runOnce(name, options) {
  const stage = await (scenarios[name].stage ?? Stage).up(scenarios[name], options);
  let result;
  try {
    result = await scenarios[name].measure(stage);
  } finally {
    await stage.down();
  }
  return { scenario: name, seed: options.seed, sending: stage.sending, ...result };
}

/** The figures of several runs, each at its median. */
function medians(runs) {
  return runs[0].figures.map((figure, i) => ({ ...figure, value: median(runs.map((run) => run.figures[i].value)) }));
}

// Infinity would be null in JSON.
const plain = (_, value) => (value === Infinity ? 'never' : value);

async function main() {
  const options = readOptions();
  options.clip = await makeClip(options.fps);
  const report = [];
  let missed = 0;
  try {
    for (const name of options.names) {
      const runs = [];
      for (let i = 0; i < options.runs; i += 1) {
        const run = await runOnce(name, { ...options, seed: options.seed + i });
        process.stdout.write(`${line(`${name} #${i + 1}`, run.figures)}\n`);
        if (run.sending) {
          const { fps, audio, ...layers } = run.sending;
          const kbps = Object.entries(layers).map(([rid, bits]) => `${rid} ${Math.round(bits / 1000)}`).join(', ');
          process.stdout.write(`  sent, kbps: ${kbps}, audio ${Math.round(audio / 1000)}; ${fps} fps\n`);
        }
        process.stdout.write(`  ${JSON.stringify(run.more, plain)}\n`);
        runs.push(run);
        report.push(run);
      }
      const figures = medians(runs);
      if (options.runs > 1) process.stdout.write(`${line(`${name} median`, figures)}\n`);
      if (!figures.every(good)) missed += 1;
      if (options.json) await writeFile(options.json, `${JSON.stringify(report, plain, 2)}\n`);
    }
  } finally {
    options.clip.remove();
  }
  process.stdout.write(missed ? `bench: ${missed} of ${options.names.length} scenarios missed a figure\n` : 'bench: all figures reached\n');
  process.exitCode = missed ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1)); // what was made goes with it
  await main();
}

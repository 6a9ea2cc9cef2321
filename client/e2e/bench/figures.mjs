// What is read out of a run: pure functions over frames and samples as bench/page.js
// records them. Times are ms.

const window = 30; // frames in libwebrtc's average
const enough = 5; // frames before anything counts as a freeze

/**
 * The pauses between shown frames that touch from..to, as {start, length}, cut to that time.
 * The pause before the first frame and the one after the last count too. Frames the page
 * was not told of, but the browser showed, are taken to be evenly spaced.
 * @param {[number, number, number, number][]} shown [at, width, presented frames so far, element]
 */
export function pauses(shown, from, to) {
  const found = [];
  let last = [from];
  let first = true;
  for (const frame of shown) {
    if (frame[0] <= from) {
      [last, first] = [frame, false];
      continue;
    }
    const steps = first || frame[3] !== last[3] ? 1 : Math.max(frame[2] - last[2], 1);
    const length = (frame[0] - last[0]) / steps;
    for (let i = 0; i < steps; i += 1) found.push({ start: last[0] + i * length, length });
    [last, first] = [frame, false];
    if (frame[0] > to) break;
  }
  if (last[0] <= to) found.push({ start: last[0], length: to - last[0] });
  return found
    .map(({ start, length }) => ({ start: Math.max(start, from), end: Math.min(start + length, to) }))
    .filter(({ start, end }) => end > start)
    .map(({ start, end }) => ({ start, length: end - start }));
}

/**
 * The pauses a viewer sees as a freeze, as libwebrtc counts them: at least three times the
 * average of the last 30, and 150 ms more than it (video/video_quality_observer2.cc).
 */
export function freezes(shown, from, to) {
  const recent = [];
  return pauses(shown, from, to).filter(({ length }) => {
    const average = recent.reduce((sum, n) => sum + n, 0) / recent.length;
    const frozen = recent.length >= enough ? length >= Math.max(3 * average, average + 150) : length > 500;
    recent.push(length);
    if (recent.length > window) recent.shift();
    return frozen;
  });
}

export const total = (list) => list.reduce((sum, { length }) => sum + length, 0);

/**
 * How long after an event the picture is back: the end of the longest pause that begins within
 * 2 s of it, less the event's time. 0 if there is none of 300 ms. Later pauses have other causes.
 */
export function backAfter(shown, event, to) {
  const near = pauses(shown, event, to).filter(({ start }) => start <= event + 2000);
  const longest = near.reduce((a, b) => (b.length > a.length ? b : a), { start: event, length: 0 });
  return longest.length < 300 ? 0 : longest.start + longest.length - event;
}

/** When after `from` frames come steadily again: the first of six in half a second. */
export function steadyAfter(shown, from) {
  const later = shown.filter((frame) => frame[0] >= from);
  const found = later.findIndex((frame, i) => later[i + 5]?.[0] - frame[0] <= 500);
  return found < 0 ? Infinity : later[found][0] - from;
}

/** Changes of the picture's width in from..to, as {at, width}, the first entry being what is shown at from. */
export function layers(shown, from, to) {
  const changes = [];
  for (const [at, width] of shown) {
    if (at > to) break;
    if (at <= from) changes[0] = { at: from, width };
    else if (changes.at(-1)?.width !== width) changes.push({ at, width });
  }
  return changes;
}

const at = (samples, time) => samples.findLast((sample) => sample.at <= time && sample.heard !== undefined);

/** The share of sound in from..to that was made up, without silence that was. */
export function concealed(samples, from, to) {
  const [a, b] = [at(samples, from) ?? samples.find((s) => s.heard !== undefined), at(samples, to)];
  if (!a || !b || b.heard <= a.heard) return 1; // nothing was played at all
  const made = (s) => s.concealed - s.silent;
  return (made(b) - made(a)) / (b.heard - a.heard);
}

/** How long after `from` sound was still made up, looked at in steps between samples. */
export function soundAfter(samples, from, to) {
  let back = 0;
  for (let i = 1; i < samples.length; i += 1) {
    const [a, b] = [samples[i - 1], samples[i]];
    if (a.at >= from && b.at <= to && b.heard > a.heard && concealed([a, b], a.at, b.at) > 0.1) back = b.at - from;
  }
  return back;
}

/** Where sound was made up in from..to, as [ms after from, ms made up], step by step. */
export function gapsInSound(samples, from, to) {
  const found = [];
  for (let i = 1; i < samples.length; i += 1) {
    const [a, b] = [samples[i - 1], samples[i]];
    const made = (b.concealed - b.silent - a.concealed + a.silent) / 48;
    if (a.at >= from && b.at <= to && made >= 5) found.push([Math.round(b.at - from), Math.round(made)]);
  }
  return found;
}

/** Received bits per second in from..to. */
export function received(samples, from, to) {
  const [a, b] = [samples.findLast((s) => s.at <= from), samples.findLast((s) => s.at <= to)];
  return a && b && b.at > a.at ? (b.bytes - a.bytes) * 8_000 / (b.at - a.at) : 0;
}

/** The median, the upper one of two. */
export function median(list) {
  return list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
}

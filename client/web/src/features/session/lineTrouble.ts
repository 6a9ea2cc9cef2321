/**
 * Why one's own line is weak, from what the browser counts itself. The server
 * only tells how good a line is; the numbers behind it are in the WebRTC
 * statistics of the tracks sent and received (W3C webrtc-stats).
 */
import type { Room, Track } from 'livekit-client';

/**
 * What is worst on the line. `amount` is the share of packets lost, 1 to 100,
 * on the way to us (lossDown) or from us (lossUp); or the round-trip time in
 * seconds, to one decimal (delay).
 */
export interface LineTrouble {
  cause: 'lossDown' | 'lossUp' | 'delay';
  amount: number;
}

/** Counters of one moment; two of them give a reading. */
export interface LineCounters {
  /** Packets so far, by received stream. */
  streams: ReadonlyMap<string, { received: number; lost: number }>;
  /** Share of packets lost on the way to the server, 0 to 1, as last reported by it; the worst track. */
  lossUp: number;
  /** Round-trip time in seconds; the worst of what is known. */
  delay: number;
}

/** From here on the server calls a line poor; the cause is what comes closest to its bound or is farthest beyond it. */
const poorLoss = 0.08;
const poorDelay = 0.6;
/** Under this share of its bound nothing is a cause. */
const leastShare = 0.5;
/** With fewer packets a share says nothing. */
const leastPackets = 20;

type Entry = Readonly<Record<string, unknown>>;

const amount = (entry: Entry, key: string): number => {
  const value = entry[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
};

/** Sums up the entries of one or more statistics reports. Entries of other types are passed over. */
export function readCounters(entries: Iterable<Entry>): LineCounters {
  const streams = new Map<string, { received: number; lost: number }>();
  let lossUp = 0;
  let delay = 0;
  for (const entry of entries) {
    if (entry.type === 'inbound-rtp') {
      streams.set(String(entry.id), { received: amount(entry, 'packetsReceived'), lost: amount(entry, 'packetsLost') });
    } else if (entry.type === 'remote-inbound-rtp') {
      lossUp = Math.max(lossUp, amount(entry, 'fractionLost'));
      delay = Math.max(delay, amount(entry, 'roundTripTime'));
    } else if (entry.type === 'candidate-pair' && entry.nominated === true) {
      delay = Math.max(delay, amount(entry, 'currentRoundTripTime'));
    }
  }
  return { streams, lossUp, delay };
}

/** The worst share of packets lost between two moments, over the streams that are in both. */
function lossBetween(before: LineCounters, now: LineCounters): number {
  let worst = 0;
  for (const [id, { received, lost }] of now.streams) {
    const earlier = before.streams.get(id);
    if (!earlier) continue;
    const missing = Math.max(0, lost - earlier.lost);
    const all = Math.max(0, received - earlier.received) + missing;
    if (all >= leastPackets) worst = Math.max(worst, missing / all);
  }
  return worst;
}

/** What is worst on the line between two moments; undefined when the numbers show nothing. */
export function lineTrouble(before: LineCounters, now: LineCounters): LineTrouble | undefined {
  const lossDown = lossBetween(before, now);
  const shares = { lossDown: lossDown / poorLoss, lossUp: now.lossUp / poorLoss, delay: now.delay / poorDelay };
  const worst = Math.max(shares.lossDown, shares.lossUp, shares.delay);
  if (worst < leastShare) return undefined;
  if (shares.delay === worst) return { cause: 'delay', amount: Math.round(now.delay * 10) / 10 };
  const cause = shares.lossDown === worst ? 'lossDown' : 'lossUp';
  return { cause, amount: Math.max(1, Math.round(100 * (cause === 'lossDown' ? lossDown : now.lossUp))) };
}

/** Reads the counters of every track of the room. A track that ends meanwhile is left out. */
export async function measureLine(room: Room): Promise<LineCounters> {
  const tracks: Track[] = [room.localParticipant, ...room.remoteParticipants.values()]
    .flatMap((participant) => [...participant.trackPublications.values()])
    .flatMap(({ track }) => (track ? [track] : []));
  const reports = await Promise.allSettled(tracks.map((track) => track.getRTCStatsReport()));
  const entries = reports.flatMap((report) =>
    report.status === 'fulfilled' && report.value ? [...(report.value.values() as Iterable<Entry>)] : [],
  );
  return readCounters(entries);
}

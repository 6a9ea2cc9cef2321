import { describe, expect, it } from 'vitest';
import { lineTrouble, readCounters } from './lineTrouble';

const inbound = (id: string, packetsReceived: number, packetsLost: number) => ({ type: 'inbound-rtp', id, packetsReceived, packetsLost });
const still = readCounters([inbound('v', 1000, 10), inbound('a', 500, 0)]);

describe('lineTrouble', () => {
  it('names the loss of the worst stream received, of the time between only', () => {
    const now = readCounters([inbound('v', 1088, 22), inbound('a', 600, 0)]);
    expect(lineTrouble(still, now)).toEqual({ cause: 'lossDown', amount: 12 });
  });

  it('names the loss on the way to the server', () => {
    const now = readCounters([inbound('v', 1100, 11), { type: 'remote-inbound-rtp', id: 'r', fractionLost: 0.2, roundTripTime: 0.05 }]);
    expect(lineTrouble(still, now)).toEqual({ cause: 'lossUp', amount: 20 });
  });

  it('names the delay when that is farther beyond its bound than the loss', () => {
    const pair = { type: 'candidate-pair', id: 'p', nominated: true, currentRoundTripTime: 0.94 };
    const unused = { type: 'candidate-pair', id: 'q', nominated: false, currentRoundTripTime: 7 };
    const now = readCounters([inbound('v', 1091, 19), pair, unused]);
    expect(lineTrouble(still, now)).toEqual({ cause: 'delay', amount: 0.9 });
  });

  it('says nothing when the numbers show nothing', () => {
    expect(lineTrouble(still, readCounters([inbound('v', 1400, 11), { type: 'codec', id: 'c' }]))).toBeUndefined();
  });

  it('does not judge by a handful of packets, by a stream that is new, or by a count that went back', () => {
    const now = readCounters([inbound('v', 1003, 15), inbound('a', 600, -3), inbound('new', 10, 90)]);
    expect(lineTrouble(still, now)).toBeUndefined();
  });

  it('survives entries without numbers', () => {
    const odd = { type: 'remote-inbound-rtp', id: 'r', fractionLost: undefined, roundTripTime: NaN };
    expect(lineTrouble(still, readCounters([odd, { type: 'inbound-rtp', id: 'v' }]))).toBeUndefined();
  });
});

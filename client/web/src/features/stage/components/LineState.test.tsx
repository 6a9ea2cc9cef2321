// @vitest-environment jsdom
import { act, cleanup, render, screen } from '@testing-library/react';
import type { Room } from 'livekit-client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { setLanguage } from '../../../i18n';
import { testIds } from '../../../testids';
import type { Quality } from '../../session/person';
import type { LinkState, RoomView } from '../../session/roomStore';
import { LineState } from './LineState';

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A room whose only track loses `perCent` of a hundred packets from each reading to the next. */
function lossyRoom(perCent: number, delay = 0) {
  let reading = 0;
  const getRTCStatsReport = vi.fn(() => {
    reading++;
    const stream = { type: 'inbound-rtp', id: 'v', packetsReceived: (100 - perCent) * reading, packetsLost: perCent * reading };
    const pair = { type: 'candidate-pair', id: 'p', nominated: true, currentRoundTripTime: delay };
    return Promise.resolve(
      new Map<string, object>([
        ['v', stream],
        ['p', pair],
      ]),
    );
  });
  const trackPublications = new Map([['TR', { track: { getRTCStatsReport } }]]);
  const room = { localParticipant: { trackPublications: new Map() }, remoteParticipants: new Map([['a', { trackPublications }]]) };
  return { getRTCStatsReport, session: { room: room as unknown as Room } };
}

function view(quality: Quality, link: LinkState = 'connected'): RoomView {
  const me = {
    identity: 'me',
    name: 'me',
    isLocal: true,
    joinedAt: 0,
    lastSpokeAt: 0,
    speaking: false,
    micOn: true,
    quality,
    cameraOn: false,
    camera: undefined,
    screenOn: false,
    screen: undefined,
  };
  return { link, restarting: false, people: [me], speaker: undefined, sounds: [], soundAllowed: true };
}

const words = () => screen.getByTestId(testIds.connectionState).textContent;
const afterTwoReadings = () => act(() => vi.advanceTimersByTimeAsync(3100));

it('says whose line is weak, and once it is measured, why', async () => {
  const { session } = lossyRoom(12);
  render(<LineState session={session} room={view('poor')} />);
  expect(words()).toBe('Đường truyền của bạn yếu');
  await afterTwoReadings();
  expect(words()).toBe('Đường truyền của bạn yếu: mất 12% hình, tiếng nhận về');
});

it('gives seconds as the language writes them, in few words on a phone', async () => {
  const { session } = lossyRoom(0, 0.94);
  const { rerender } = render(<LineState session={session} room={view('poor')} brief />);
  await afterTwoReadings();
  expect(words()).toBe('Đường truyền của bạn yếu: trễ 0,9 giây');
  act(() => setLanguage('en'));
  rerender(<LineState session={session} room={view('poor')} brief />);
  expect(words()).toBe('Your line is weak: 0.9 s delay');
});

it('measures only while the line is weak, and forgets the cause with it', async () => {
  const { session, getRTCStatsReport } = lossyRoom(12);
  const { rerender } = render(<LineState session={session} room={view('excellent')} />);
  await afterTwoReadings();
  expect(getRTCStatsReport).not.toHaveBeenCalled();
  rerender(<LineState session={session} room={view('poor')} />);
  await afterTwoReadings();
  rerender(<LineState session={session} room={view('good')} />);
  expect(words()).toBe('Đường truyền của bạn khá');
  const before = getRTCStatsReport.mock.calls.length;
  await afterTwoReadings();
  expect(getRTCStatsReport.mock.calls.length).toBe(before);
});

it('tells a machine without network from a server that does not answer', () => {
  const { session } = lossyRoom(0);
  render(<LineState session={session} room={view('good', 'reconnecting')} />);
  expect(words()).toBe('Mất kết nối. Đang kết nối lại…');
  vi.spyOn(navigator, 'onLine', 'get').mockReturnValue(false);
  act(() => void window.dispatchEvent(new Event('offline')));
  expect(words()).toBe('Máy của bạn đang mất mạng');
});

import i18next from 'i18next';
import { ConnectionError } from 'livekit-client';
import { expect, it } from 'vitest';
import { vi } from '../../i18n/vi';
import { ApiError } from '../session/api/server';
import { joinErrorText } from './joinError';

it.each([
  [new ApiError(0), vi.error.network],
  [new ApiError(429), vi.error.tokenBusy],
  [new ApiError(400, 'Tên phòng không hợp lệ.'), 'Tên phòng không hợp lệ.'],
  [new ApiError(503), vi.error.token.replace('{{status}}', '503')],
  [ConnectionError.notAllowed('expired', 401), vi.error.notAllowed],
  [ConnectionError.serverUnreachable('no'), vi.error.network],
  [ConnectionError.timeout('slow'), vi.error.timeout],
  [ConnectionError.internal('could not establish pc connection'), vi.error.media],
  [ConnectionError.internal('oops'), vi.error.server],
  ['what', vi.error.server],
])('%s is told in words', (error, words) => expect(joinErrorText(error, i18next.t)).toBe(words));

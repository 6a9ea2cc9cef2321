import { ConnectionError, ConnectionErrorReason } from 'livekit-client';
import type { TFunction } from 'i18next';
import { ApiError } from '../session/api/server';

/** Why a join failed, in words that say what to do. */
export function joinErrorText(error: unknown, t: TFunction): string {
  if (error instanceof ApiError) {
    if (error.status === 0) return t('error.network');
    if (error.status === 429) return t('error.tokenBusy');
    return error.detail || t('error.token', { status: error.status });
  }
  if (error instanceof ConnectionError) {
    switch (error.reason) {
      case ConnectionErrorReason.NotAllowed:
        return t('error.notAllowed');
      case ConnectionErrorReason.ServerUnreachable:
      case ConnectionErrorReason.WebSocket:
        return t('error.network');
      case ConnectionErrorReason.Timeout:
        return t('error.timeout');
      case ConnectionErrorReason.InternalError:
        return /pc|peer|ice|transport/i.test(error.message) ? t('error.media') : t('error.server');
      default:
        return t('error.server');
    }
  }
  return t('error.server');
}

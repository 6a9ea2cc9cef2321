// @vitest-environment jsdom
import { PublishTrackError } from 'livekit-client';
import { describe, expect, it } from 'vitest';
import { insecureProblem, mediaProblem } from './mediaProblem';

describe('mediaProblem', () => {
  it.each([
    ['NotAllowedError', 'denied'],
    ['NotFoundError', 'missing'],
    ['OverconstrainedError', 'missing'],
    ['NotReadableError', 'busy'],
    ['SecurityError', 'insecure'],
    ['SomethingNew', 'other'],
  ])('%s means %s', (name, cause) => {
    expect(mediaProblem('camera', new DOMException('', name))).toEqual({ kind: 'camera', cause, detail: name });
  });

  it('takes what is not an error', () => {
    expect(mediaProblem('mic', 'text').cause).toBe('other');
  });

  it('tells a missing right to publish from a refused device', () => {
    expect(mediaProblem('mic', new PublishTrackError('no', 403)).cause).toBe('forbidden');
  });
});

describe('insecureProblem', () => {
  it('is reported where the browser has no devices to give', () => {
    expect(insecureProblem('mic')).toEqual({ kind: 'mic', cause: 'insecure', detail: '' });
  });
});

import { describe, expect, it } from 'vitest';
import { defaultPreferences, parsePreferences } from './preferences';

describe('parsePreferences', () => {
  it('reads back what was written', () => {
    const wanted = { ...defaultPreferences, name: 'Hà', language: 'en' as const, theme: 'dark' as const, cameraOn: false, micId: 'x' };
    expect(parsePreferences(JSON.stringify(wanted))).toEqual(wanted);
  });

  it.each([null, '', 'nonsense', '[]', '3', 'null', '{"language":"fr","theme":7,"micOn":"yes","name":5}'])(
    'takes defaults for %s',
    (json) => expect(parsePreferences(json)).toEqual(defaultPreferences),
  );
});

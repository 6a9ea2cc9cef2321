import { describe, expect, it } from 'vitest';
import { parseRoute, roomPath } from './route';

describe('parseRoute', () => {
  it.each([
    ['/', '', { page: 'lobby', room: '', name: '' }],
    ['/', '?room=hop-giao-ban&name=H%C3%A0', { page: 'lobby', room: 'hop-giao-ban', name: 'Hà' }],
    ['/r/hop-giao-ban', '', { page: 'room', room: 'hop-giao-ban', name: '' }],
    ['/r/hop-giao-ban/', '?name=An', { page: 'room', room: 'hop-giao-ban', name: 'An' }],
    ['/r/%E0%A4%A', '', { page: 'lobby', room: '', name: '' }],
    ['/r/a/b', '', { page: 'lobby', room: '', name: '' }],
  ])('%s%s', (path, search, expected) => expect(parseRoute(path, search)).toEqual(expected));

  it('reads back the path it makes', () => {
    expect(parseRoute(roomPath('p/ 1'), '')).toEqual({ page: 'room', room: 'p/ 1', name: '' });
  });
});

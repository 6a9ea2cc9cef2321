import { describe, expect, it } from 'vitest';
import { compareByGivenName, initials, nameMatches } from './names';
import { roomCode } from './roomCode';

describe('compareByGivenName', () => {
  it('orders people by given name in Vietnamese collation', () => {
    const people = ['Trần Văn Đức', 'Nguyễn Thị Ánh', 'Lê Dũng', 'Phạm An', 'Bùi Ấn', 'Đỗ Văn Đức', 'Võ Em'];
    expect([...people].sort(compareByGivenName)).toEqual([
      'Phạm An',
      'Nguyễn Thị Ánh',
      'Bùi Ấn',
      'Lê Dũng',
      'Đỗ Văn Đức',
      'Trần Văn Đức',
      'Võ Em',
    ]);
  });

  it('orders units by their whole name, numbers by value', () => {
    const units = ['Ủy ban nhân dân xã Quảng Trạch – Phòng họp số 10', 'Ủy ban nhân dân xã Quảng Trạch – Phòng họp số 2'];
    expect([...units].sort(compareByGivenName)[0]).toContain('số 2');
    expect(['Sở Tài chính', 'Nguyễn Văn Đức', 'Ban Quản lý'].sort(compareByGivenName)).toEqual([
      'Ban Quản lý',
      'Nguyễn Văn Đức',
      'Sở Tài chính',
    ]);
  });
});

describe('initials', () => {
  it.each([
    ['Nguyễn Thị Thu Hà', 'NH'],
    ['Đức', 'Đ'],
    ['ủy ban nhân dân xã Quảng Trạch – Phòng họp số 2', 'ỦT'],
    ['Ánh', 'Á'],
    ['Hoàng Thị Mỹ Lệ · phường Tô Hiệu', 'HL'],
    ['Lò Thị Hường — xã Ngọc Chiến', 'LH'],
    ['  ', '•'],
    ['215', '•'],
  ])('%s → %s', (name, expected) => expect(initials(name)).toBe(expected));
});

describe('nameMatches', () => {
  it('finds names typed without marks', () => {
    expect(nameMatches('Đặng Thị Ngọc Ánh', 'dang anh')).toBe(true);
    expect(nameMatches('Đặng Thị Ngọc Ánh', 'hà')).toBe(false);
    expect(nameMatches('Đặng Thị Ngọc Ánh', '')).toBe(true);
  });
});

describe('roomCode', () => {
  it.each([
    ['Họp giao ban', 'hop-giao-ban'],
    ['  Đại hội – lần 2! ', 'dai-hoi-lần-2'.replace('ầ', 'a')],
    ['Phong_Hop.2', 'Phong_Hop.2'],
    ['***', ''],
  ])('%s → %s', (title, expected) => expect(roomCode(title)).toBe(expected));
});

// @vitest-environment jsdom
import { cleanup, render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { getPreferences, setPreferences } from '../../../lib/preferences';
import { testIds } from '../../../testids';
import { Lobby } from './Lobby';

const demo = { demo: true, version: '' };

beforeEach(() => {
  window.scrollTo = () => undefined;
  setPreferences({ name: '' });
  history.replaceState(null, '', '/');
});
afterEach(cleanup);

it('asks for what is missing, in words, and goes nowhere', async () => {
  render(<Lobby room="" name="" config={demo} />);
  await userEvent.click(screen.getByTestId(testIds.lobbyContinue));
  expect(screen.getByText('Bạn chưa nhập họ và tên.')).toBeDefined();
  expect(screen.getByText('Bạn chưa nhập phòng họp.')).toBeDefined();
  expect(location.pathname).toBe('/');
});

it('goes to the room that was typed in Vietnamese and remembers the name', async () => {
  render(<Lobby room="" name="" config={demo} />);
  await userEvent.type(screen.getByTestId(testIds.lobbyName), ' Đỗ Ánh ');
  await userEvent.type(screen.getByTestId(testIds.lobbyRoom), 'Họp Đảng ủy');
  expect(screen.getByText('Mã phòng: hop-dang-uy')).toBeDefined();
  await userEvent.click(screen.getByTestId(testIds.lobbyContinue));
  expect(location.pathname).toBe('/r/hop-dang-uy');
  expect(getPreferences().name).toBe('Đỗ Ánh');
});

it('takes name and room from the address', () => {
  render(<Lobby room="tap-huan" name="Hà" config={demo} />);
  expect(screen.getByTestId<HTMLInputElement>(testIds.lobbyName).value).toBe('Hà');
  expect(screen.getByTestId<HTMLInputElement>(testIds.lobbyRoom).value).toBe('tap-huan');
});

it('lets nobody in without an invitation where there is no demo', () => {
  render(<Lobby room="" name="" config={{ demo: false, version: '' }} />);
  expect(screen.getByText('Bạn cần giấy mời để vào họp')).toBeDefined();
  expect(screen.queryByTestId(testIds.lobbyContinue)).toBeNull();
});

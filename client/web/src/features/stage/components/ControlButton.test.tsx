// @vitest-environment jsdom
import { cleanup, render, screen } from '@testing-library/react';
import { Mic, MicOff } from 'lucide-react';
import { afterEach, expect, it } from 'vitest';
import { ControlButton } from './ControlButton';

afterEach(cleanup);

it('tells whether a source is on by more than its label', () => {
  const { rerender } = render(<ControlButton icon={Mic} label="Tắt micrô" on state="Micrô đang bật" />);
  const on = screen.getByRole('button', { name: 'Micrô đang bật. Tắt micrô', pressed: true });
  const [lookOn, iconOn] = [on.className, on.querySelector('svg')?.outerHTML];
  rerender(<ControlButton icon={MicOff} label="Bật micrô" look="off" on={false} state="Micrô đang tắt" />);
  const off = screen.getByRole('button', { name: 'Micrô đang tắt. Bật micrô', pressed: false });
  expect(off.className).not.toBe(lookOn);
  expect(off.querySelector('svg')?.outerHTML).not.toBe(iconOn);
});

it('is no switch where it only opens something', () => {
  render(<ControlButton icon={Mic} label="Trao đổi" badge={2} badgeLabel="2 tin nhắn chưa đọc" />);
  expect(screen.getByRole('button', { name: 'Trao đổi, 2 tin nhắn chưa đọc' }).hasAttribute('aria-pressed')).toBe(false);
});

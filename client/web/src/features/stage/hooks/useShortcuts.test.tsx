// @vitest-environment jsdom
import { cleanup, render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, expect, it, vi } from 'vitest';
import { useShortcuts } from './useShortcuts';

afterEach(cleanup);

function Page({ onM }: { onM: () => void }) {
  useShortcuts({ m: onM });
  return (
    <>
      <button>x</button>
      <input aria-label="text" />
    </>
  );
}

it('acts on the key, but not while typing nor with Ctrl', async () => {
  const onM = vi.fn();
  render(<Page onM={onM} />);
  const user = userEvent.setup();
  await user.keyboard('m');
  await user.keyboard('M');
  expect(onM).toHaveBeenCalledTimes(2);
  await user.keyboard('{Control>}m{/Control}');
  await user.type(screen.getByLabelText('text'), 'mm');
  expect(onM).toHaveBeenCalledTimes(2);
});

import { useEffect, useState } from 'react';

export interface Device {
  id: string;
  label: string;
}

/** Devices of one kind, by the names the browser gives; names come with the permission, so `refresh` asks again when it changes. */
export function useDevices(kind: MediaDeviceKind, refresh?: unknown): readonly Device[] {
  const [devices, setDevices] = useState<readonly Device[]>([]);
  useEffect(() => {
    const media = navigator.mediaDevices;
    if (!media?.enumerateDevices) return;
    let current = true;
    const list = () => {
      media.enumerateDevices().then(
        (all) => {
          if (!current) return;
          const mine = all.filter((device) => device.kind === kind && device.deviceId !== '');
          setDevices(mine.map(({ deviceId, label }) => ({ id: deviceId, label })));
        },
        () => undefined, // Not allowed to know: the list stays as it was.
      );
    };
    list();
    media.addEventListener('devicechange', list);
    return () => {
      current = false;
      media.removeEventListener('devicechange', list);
    };
  }, [kind, refresh]);
  return devices;
}

/** Whether this browser lets a page choose the speaker. */
export function canChooseSpeaker(): boolean {
  return 'setSinkId' in HTMLMediaElement.prototype;
}

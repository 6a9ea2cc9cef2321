import { Camera, Mic, Volume2 } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { Select } from '../../../primitives/Select';
import { canChooseSpeaker, useDevices, type Device } from '../../session/hooks/useDevices';

interface DevicePickersProps {
  micId: string;
  cameraId: string;
  speakerId: string;
  onChange: (kind: MediaDeviceKind, id: string) => void;
  /** Changes when permissions may have changed, so that names are asked for again. */
  refresh?: unknown;
}

/** Microphone, camera and speaker. */
export function DevicePickers({ micId, cameraId, speakerId, onChange, refresh }: DevicePickersProps) {
  const { t } = useTranslation();
  const mics = useDevices('audioinput', refresh);
  const cameras = useDevices('videoinput', refresh);
  const speakers = useDevices('audiooutput', refresh);
  const options = (devices: readonly Device[]) =>
    devices.map(({ id, label }, index) => ({ id, label: label || t('green.unnamedDevice', { n: index + 1 }) }));
  const chosen = (devices: readonly Device[], id: string) => (devices.some((device) => device.id === id) ? id : (devices[0]?.id ?? ''));
  const picker = (kind: MediaDeviceKind, label: string, icon: React.ReactNode, devices: readonly Device[], id: string) => (
    <Select
      label={label}
      icon={icon}
      value={chosen(devices, id)}
      options={options(devices)}
      onChange={(next) => onChange(kind, next)}
      isDisabled={devices.length === 0}
      placeholder={t('green.noDevice')}
      testId={`device-${kind}`}
    />
  );
  return (
    <>
      {picker('audioinput', t('green.mic'), <Mic size={18} aria-hidden />, mics, micId)}
      {picker('videoinput', t('green.camera'), <Camera size={18} aria-hidden />, cameras, cameraId)}
      {canChooseSpeaker() &&
        speakers.length > 0 &&
        picker('audiooutput', t('green.speaker'), <Volume2 size={18} aria-hidden />, speakers, speakerId)}
    </>
  );
}

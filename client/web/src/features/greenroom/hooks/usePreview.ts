import { createLocalAudioTrack, createLocalVideoTrack, VideoPresets, type LocalAudioTrack, type LocalVideoTrack } from 'livekit-client';
import { useEffect, useState } from 'react';
import { insecureProblem, mediaProblem, type MediaProblem } from '../../session/mediaProblem';

/** A device being tried: its track once it runs, else why it does not. */
export interface Preview<T> {
  track: T | undefined;
  problem: MediaProblem | undefined;
  starting: boolean;
  retry: () => void;
}

/**
 * Requests for devices go one after the other: asked together, some phones
 * grant only one, and Firefox shows one prompt over the other.
 */
let queue: Promise<unknown> = Promise.resolve();

function inTurn<T>(task: () => Promise<T>): Promise<T> {
  const turn = queue.then(task, task);
  queue = turn.catch(() => undefined);
  return turn;
}

function usePreview<T extends { stop: () => unknown }>(
  kind: 'mic' | 'camera',
  on: boolean,
  deviceId: string,
  open: (deviceId: string) => Promise<T>,
): Preview<T> {
  const [state, setState] = useState<{ track?: T; problem?: MediaProblem }>({});
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    if (!on) return;
    let current = true;
    let opened: T | undefined;
    const insecure = insecureProblem(kind);
    const opening = insecure
      ? Promise.resolve<T | undefined>(undefined)
      : inTurn(() => (current ? open(deviceId) : Promise.resolve(undefined)));
    opening.then(
      (track) => {
        if (!current) {
          track?.stop();
          return;
        }
        opened = track;
        setState(insecure ? { problem: insecure } : { track });
      },
      (error: unknown) => {
        if (current) setState({ problem: mediaProblem(kind, error) });
      },
    );
    return () => {
      current = false;
      opened?.stop();
      setState({});
    };
  }, [kind, on, deviceId, attempt, open]);

  return {
    track: on ? state.track : undefined,
    problem: on ? state.problem : undefined,
    starting: on && !state.track && !state.problem,
    retry: () => setAttempt((count) => count + 1),
  };
}

const openCamera = (deviceId: string) =>
  createLocalVideoTrack({ deviceId: deviceId || undefined, resolution: VideoPresets.h720.resolution });
const openMic = (deviceId: string) =>
  createLocalAudioTrack({ deviceId: deviceId || undefined, echoCancellation: true, noiseSuppression: true, autoGainControl: true });

export function useCameraPreview(on: boolean, deviceId: string): Preview<LocalVideoTrack> {
  return usePreview('camera', on, deviceId, openCamera);
}

export function useMicPreview(on: boolean, deviceId: string): Preview<LocalAudioTrack> {
  return usePreview('mic', on, deviceId, openMic);
}

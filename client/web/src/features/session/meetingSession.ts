/**
 * One stay in one room, from connecting to leaving. The path of a join:
 * connect() opens the room and says why if it cannot; start() then turns on
 * the microphone and camera as chosen in the green room; from there the
 * screens read the stores and call the setters; ended resolves once, with the
 * reason, and the session is over.
 */
import i18next from 'i18next';
import {
  DisconnectReason,
  Room,
  RoomEvent,
  Track,
  VideoPresets,
  type RemoteParticipant,
  type RoomOptions,
  type TrackPublication,
} from 'livekit-client';
import { getPreferences, setPreferences } from '../../lib/preferences';
import { ChatStore } from '../chat/chatStore';
import { signalUrl } from './api/server';
import { insecureProblem, mediaProblem, type MediaKind } from './mediaProblem';
import { NoticeStore } from './noticeStore';
import { RoomStore } from './roomStore';
import { Showing } from './showing';

export type EndReason = 'left' | 'duplicate' | 'removed' | 'closed' | 'shutdown' | 'lost';

const endReasons: Partial<Record<DisconnectReason, EndReason>> = {
  [DisconnectReason.DUPLICATE_IDENTITY]: 'duplicate',
  [DisconnectReason.PARTICIPANT_REMOVED]: 'removed',
  [DisconnectReason.ROOM_DELETED]: 'closed',
  [DisconnectReason.ROOM_CLOSED]: 'closed',
  [DisconnectReason.SERVER_SHUTDOWN]: 'shutdown',
};

/** What a room is opened with. `pc` is the test switch of the address: 1 or 2 peer connections. */
export function roomOptions(pc: string | null): RoomOptions {
  const { micId, cameraId, speakerId } = getPreferences();
  return {
    adaptiveStream: true,
    dynacast: true,
    videoCaptureDefaults: { resolution: VideoPresets.h720.resolution, deviceId: cameraId || undefined },
    audioCaptureDefaults: { deviceId: micId || undefined, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    audioOutput: speakerId ? { deviceId: speakerId } : undefined,
    publishDefaults: {
      videoCodec: 'vp8',
      simulcast: true,
      videoSimulcastLayers: [VideoPresets.h180, VideoPresets.h360],
      videoEncoding: VideoPresets.h720.encoding,
      dtx: true,
      red: true,
    },
    ...(pc === '1' || pc === '2' ? { singlePeerConnection: pc === '1' } : {}),
  };
}

export class MeetingSession {
  readonly room: Room;
  readonly view: RoomStore;
  readonly chat: ChatStore;
  readonly showing: Showing;
  readonly notices = new NoticeStore();
  /** Resolves with the reason when the stay in the room is over. */
  readonly ended: Promise<EndReason>;
  private started = false;
  private connected = false;
  private leaving = false;
  private resolveEnded: (reason: EndReason) => void = () => undefined;

  constructor(
    readonly roomName: string,
    private readonly token: string,
    pc: string | null,
  ) {
    this.ended = new Promise((resolve) => (this.resolveEnded = resolve));
    this.room = new Room(roomOptions(pc));
    this.view = new RoomStore(this.room);
    this.chat = new ChatStore(this.room);
    this.showing = new Showing(this.room);
    this.room
      .on(RoomEvent.Disconnected, this.onDisconnected)
      .on(RoomEvent.Reconnected, () => this.notices.show('info', i18next.t('connection.restored')))
      .on(RoomEvent.ParticipantConnected, this.onJoined)
      .on(RoomEvent.ParticipantDisconnected, this.onLeft)
      .on(RoomEvent.TrackPublished, this.onPublished);
  }

  /** Opens the room. Throws the SDK's ConnectionError; the session cannot be used again then. */
  async connect(): Promise<void> {
    try {
      await this.room.connect(signalUrl(), this.token);
      this.connected = true;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Turns on the microphone and the camera as preferred. Once; later calls do nothing. */
  async start(): Promise<void> {
    if (this.started) return;
    this.started = true;
    const { micOn, cameraOn } = getPreferences();
    // One after the other: asked together, some phones grant only one.
    if (micOn) await this.set('mic', true, false);
    if (cameraOn) await this.set('camera', true, false);
  }

  /** Turns a source on or off and shows a message if that fails. `remember` keeps the choice for the next meeting. */
  async set(kind: MediaKind, on: boolean, remember = true): Promise<void> {
    const insecure = on ? insecureProblem(kind) : undefined;
    if (insecure) {
      this.notices.show('bad', i18next.t(`media.insecure.${kind}`));
      return;
    }
    const me = this.room.localParticipant;
    try {
      if (kind === 'mic') await me.setMicrophoneEnabled(on);
      else if (kind === 'camera') await me.setCameraEnabled(on);
      else
        await me.setScreenShareEnabled(on, {
          audio: true,
          selfBrowserSurface: 'include',
          surfaceSwitching: 'include',
          contentHint: 'detail',
        });
      if (remember && kind === 'mic') setPreferences({ micOn: on });
      if (remember && kind === 'camera') setPreferences({ cameraOn: on });
    } catch (error) {
      const { cause, detail } = mediaProblem(kind, error);
      this.notices.show('bad', i18next.t(`media.${cause}.${kind}`, { detail }));
    }
  }

  /** Changes a device now and for the next meeting. An empty id is the machine's default. */
  async useDevice(kind: MediaDeviceKind, id: string): Promise<void> {
    const field = { audioinput: 'micId', videoinput: 'cameraId', audiooutput: 'speakerId' } as const;
    try {
      await this.room.switchActiveDevice(kind, id || 'default');
      setPreferences({ [field[kind]]: id });
    } catch {
      this.notices.show('bad', i18next.t('settings.switchFailed'));
    }
  }

  /** Leaves the room; `ended` resolves with "left". */
  async leave(): Promise<void> {
    this.leaving = true;
    await this.room.disconnect();
    this.finish('left');
  }

  private readonly onDisconnected = (reason?: DisconnectReason): void => {
    if (!this.connected || this.leaving) return;
    // The SDK itself leaves when the page is closed or reloaded: a reload is to come back, so that is no end.
    if (reason === DisconnectReason.CLIENT_INITIATED) return;
    this.finish((reason !== undefined && endReasons[reason]) || 'lost');
  };

  private readonly onJoined = (participant: RemoteParticipant): void => {
    this.notices.show('info', i18next.t('stage.joined', { name: participant.name || participant.identity }));
  };

  private readonly onLeft = (participant: RemoteParticipant): void => {
    this.notices.show('info', i18next.t('stage.left', { name: participant.name || participant.identity }));
  };

  private readonly onPublished = (publication: TrackPublication, participant: RemoteParticipant): void => {
    if (publication.source !== Track.Source.ScreenShare) return;
    this.notices.show('info', i18next.t('stage.sharing', { name: participant.name || participant.identity }));
  };

  private finish(reason: EndReason): void {
    this.resolveEnded(reason);
    this.close();
  }

  private close(): void {
    this.view.close();
    this.chat.close();
    this.showing.close();
    this.notices.close();
    this.room.removeAllListeners();
  }
}

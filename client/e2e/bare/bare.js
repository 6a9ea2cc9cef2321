// What a test can ask of a page with stock livekit-client: window.bare.<name>(...).
// Every function takes and returns plain JSON values.
(() => {
  const { Room, RoomEvent, Track, VideoQuality, VideoPresets, DisconnectReason, ConnectionErrorReason } = window.LivekitClient;

  let room;
  const events = [];
  const frames = new Map(); // track sid -> [{at, width, height, media}], as shown

  const note = (type, detail = {}) => events.push({ type, at: performance.now(), ...detail });
  const describe = (err) => ({
    name: err.name,
    message: err.message,
    status: err.status,
    reason: err.reason,
    // err.reasonName is not always that of err.reason.
    reasonName: err.name === 'ConnectionError' ? ConnectionErrorReason[err.reason] : err.reasonName,
  });

  function watchFrames(sid, video) {
    const shown = [];
    frames.set(sid, shown);
    const next = (now, frame) => {
      shown.push({ at: now, width: frame.width, height: frame.height, media: frame.rtpTimestamp });
      if (shown.length > 3000) shown.shift();
      video.requestVideoFrameCallback(next);
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(next);
  }

  function attach(track, publication) {
    const element = track.attach();
    element.autoplay = true;
    document.getElementById('media').append(element);
    if (track.kind === Track.Kind.Video) watchFrames(publication.trackSid, element);
  }

  function listen() {
    const who = (p) => ({ identity: p?.identity });
    const track = (pub, p) => ({ ...who(p), source: pub.source, sid: pub.trackSid, kind: pub.kind });
    room
      .on(RoomEvent.TrackSubscribed, (t, pub, p) => { attach(t, pub); note('trackSubscribed', track(pub, p)); })
      .on(RoomEvent.TrackUnsubscribed, (t, pub, p) => { for (const e of t.detach()) e.remove(); note('trackUnsubscribed', track(pub, p)); })
      .on(RoomEvent.TrackSubscriptionFailed, (sid, p, error) => note('trackSubscriptionFailed', { ...who(p), sid, error }))
      .on(RoomEvent.TrackUnpublished, (pub, p) => note('trackUnpublished', track(pub, p)))
      .on(RoomEvent.TrackMuted, (pub, p) => note('trackMuted', track(pub, p)))
      .on(RoomEvent.TrackUnmuted, (pub, p) => note('trackUnmuted', track(pub, p)))
      .on(RoomEvent.ParticipantConnected, (p) => note('participantConnected', who(p)))
      .on(RoomEvent.ParticipantDisconnected, (p) => note('participantDisconnected', who(p)))
      .on(RoomEvent.ActiveSpeakersChanged, (list) => note('speakers', { identities: list.map((p) => p.identity) }))
      .on(RoomEvent.ParticipantNameChanged, (value, p) => note('name', { ...who(p), value }))
      .on(RoomEvent.ParticipantMetadataChanged, (old, p) => note('metadata', { ...who(p), value: p.metadata }))
      .on(RoomEvent.ParticipantAttributesChanged, (value, p) => note('attributes', { ...who(p), value }))
      .on(RoomEvent.ConnectionQualityChanged, (value, p) => note('quality', { ...who(p), value }))
      .on(RoomEvent.DataReceived, (bytes, p, kind, topic) =>
        note('data', { ...who(p), topic, text: new TextDecoder().decode(bytes), reliable: kind === 0 }))
      .on(RoomEvent.ChatMessage, (message, p) => note('chat', { ...who(p), text: message.message }))
      .on(RoomEvent.SignalReconnecting, () => note('signalReconnecting'))
      .on(RoomEvent.Reconnecting, () => note('reconnecting'))
      .on(RoomEvent.Reconnected, () => note('reconnected'))
      .on(RoomEvent.Disconnected, (reason) => note('disconnected', { reason, reasonName: DisconnectReason[reason] }))
      .on(RoomEvent.EncryptionError, (err, p) => note('encryptionError', { ...who(p), ...describe(err) }))
      .on(RoomEvent.MediaDevicesError, (err) => note('devicesError', describe(err)));
    room.registerTextStreamHandler('lk.chat', async (reader, from) => {
      note('chat', { identity: from.identity, text: await reader.readAll() });
    });
    room.registerRpcMethod('echo', async (call) => `${call.callerIdentity}: ${call.payload}`);
  }

  function publication(identity, source) {
    const participant = identity === null ? room.localParticipant : room.getParticipantByIdentity(identity);
    return participant?.getTrackPublication(source);
  }

  // The entries of one kind of report that belong to this receiver or sender.
  async function report(owner, type) {
    return [...(await owner.getStats()).values()].filter((entry) => entry.type === type);
  }

  const { encryption, crowd, speak, pitches } = window.voices;

  window.bare = {
    crowd,
    speak,
    pitches,
    events: () => events,
    state: () => room?.state ?? 'none',
    sid: () => room.localParticipant.sid,
    participants: () => [...room.remoteParticipants.values()].map((p) => ({
      identity: p.identity, name: p.name, metadata: p.metadata, attributes: p.attributes, sid: p.sid,
      tracks: [...p.trackPublications.values()].map((pub) => ({
        source: pub.source, sid: pub.trackSid, muted: pub.isMuted, subscribed: pub.isSubscribed, dimensions: pub.dimensions,
      })),
    })),

    /**
     * Connects. Resolves to {ok: true, identity} or {ok: false, error}: a refusal is a result too.
     * options: room, connect, passphrase (of end-to-end encryption, with one key for all).
     */
    async join(url, token, options = {}) {
      const { passphrase } = options;
      room = new Room({
        adaptiveStream: false,
        dynacast: false,
        ...(passphrase && { encryption: await encryption(passphrase) }),
        ...options.room,
      });
      window.room = room;
      listen();
      if (passphrase) await room.setE2EEEnabled(true);
      try {
        await room.connect(url, token, { maxRetries: 0, ...options.connect });
      } catch (err) {
        return { ok: false, error: describe(err) };
      }
      return {
        ok: true,
        identity: room.localParticipant.identity,
        server: room.serverInfo?.version,
        onePeerConnection: !room.engine.pcManager?.subscriber,
      };
    },

    leave: () => room.disconnect(),

    /** Publishes the (fake) camera. options: simulcast, codec, backup (a codec), width, height, fps, maxBitrate. */
    async publishCamera({
      simulcast = false, codec = 'vp8', backup, backupPolicy, width = 640, height = 360, fps = 15, maxBitrate = 600_000,
    } = {}) {
      const published = await room.localParticipant.setCameraEnabled(
        true,
        { resolution: { width, height, frameRate: fps } },
        {
          simulcast,
          videoCodec: codec,
          backupCodec: backup ? { codec: backup } : false,
          backupCodecPolicy: backupPolicy,
          degradationPreference: 'maintain-resolution',
          videoEncoding: { maxBitrate, maxFramerate: fps },
          videoSimulcastLayers: [VideoPresets.h180, VideoPresets.h360],
        },
      );
      return published.trackSid;
    },

    // Unprocessed: all fake microphones beep alike, and an echo canceller would take the
    // beep of this page for the echo of the other's.
    async publishMicrophone() {
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      return (await room.localParticipant.setMicrophoneEnabled(true, plain, { dtx: false })).trackSid;
    },

    /** Publishes a steady tone as the microphone: loud enough to be a speaker all the time. */
    async publishTone(frequency = 440) {
      const audio = new AudioContext();
      const [oscillator, gain, out] = [audio.createOscillator(), audio.createGain(), audio.createMediaStreamDestination()];
      oscillator.frequency.value = frequency;
      gain.gain.value = 0.5;
      oscillator.connect(gain).connect(out);
      oscillator.start();
      const [track] = out.stream.getAudioTracks();
      return (await room.localParticipant.publishTrack(track, { source: 'microphone', dtx: false })).trackSid;
    },

    /** Publishes a drawn, moving picture as the given source; its frames do not need a device. */
    async publishCanvas({ source = 'screen_share', width = 1280, height = 720, fps = 10, text = '', ...rest } = {}) {
      const canvas = document.createElement('canvas');
      Object.assign(canvas, { width, height });
      const pen = canvas.getContext('2d');
      let tick = 0;
      const draw = () => {
        tick += 1;
        pen.fillStyle = '#234';
        pen.fillRect(0, 0, width, height);
        pen.fillStyle = `hsl(${tick * 7 % 360} 80% 60%)`;
        pen.fillRect((tick * 13) % width, height / 3, width / 6, height / 3);
        pen.fillStyle = '#fff';
        pen.font = `${Math.round(height / 10)}px sans-serif`;
        pen.fillText(`${text} ${tick}`, width / 20, height / 5);
      };
      draw();
      setInterval(draw, 1000 / fps);
      const [track] = canvas.captureStream(fps).getVideoTracks();
      const published = await room.localParticipant.publishTrack(track, {
        source, simulcast: false, videoCodec: 'vp8', name: source, ...rest,
      });
      return published.trackSid;
    },

    /** Publishes a drawn person as the camera; look as of portraitTrack. */
    async publishPortrait(look) {
      const fps = 10;
      await room.localParticipant.publishTrack(window.portraitTrack(look, fps), {
        source: 'camera', simulcast: false, videoCodec: 'vp8', videoEncoding: { maxBitrate: 700_000, maxFramerate: fps },
      });
    },

    /** Publishes what getDisplayMedia gives: the tab itself where the browser allows it. */
    async publishScreen(options = {}) {
      try {
        const published = await room.localParticipant.setScreenShareEnabled(true, {
          selfBrowserSurface: 'include', preferCurrentTab: true, ...options,
        });
        return { ok: true, sid: published.trackSid };
      } catch (err) {
        return { ok: false, error: describe(err) };
      }
    },

    async unpublishScreen() {
      await room.localParticipant.setScreenShareEnabled(false);
    },

    /**
     * Starts publishing although the client believes it may not, so that the server has to
     * say no: noted as an event (the client itself only gives up after 10 s).
     */
    async publishAnyway() {
      const me = room.localParticipant;
      me.permissions = { ...me.permissions, canPublish: true, canPublishSources: [] };
      room.engine.on('signalRequestResponse', ({ reason, message, request }) =>
        note('requestResponse', { reason, message, request: request?.case }));
      const [track] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
      me.publishTrack(track).then(
        (published) => note('published', { sid: published.trackSid }),
        (err) => note('publishFailed', describe(err)),
      );
    },

    async tryPublish() {
      try {
        return { ok: true, sid: (await room.localParticipant.setMicrophoneEnabled(true)).trackSid };
      } catch (err) {
        return { ok: false, error: describe(err) };
      }
    },

    async setMuted(source, muted) {
      const published = publication(null, source);
      await (muted ? published.mute() : published.unmute());
    },

    async sendData(text, { reliable, topic, to }) {
      await room.localParticipant.publishData(new TextEncoder().encode(text), {
        reliable, topic, destinationIdentities: to,
      });
    },

    async sendText(text) {
      await room.localParticipant.sendText(text, { topic: 'lk.chat' });
    },

    rpc: (to, payload) => room.localParticipant.performRpc({ destinationIdentity: to, method: 'echo', payload }),

    async describeMyself({ name, metadata, attributes }) {
      if (name !== undefined) await room.localParticipant.setName(name);
      if (metadata !== undefined) await room.localParticipant.setMetadata(metadata);
      if (attributes !== undefined) await room.localParticipant.setAttributes(attributes);
    },

    /** The client's own name for a fault: 'signal-reconnect', 'full-reconnect'. */
    simulate: (scenario) => room.simulateScenario(scenario),

    askQuality(identity, source, quality) {
      const at = performance.now();
      publication(identity, source).setVideoQuality(VideoQuality[quality]);
      return at;
    },

    askDimensions(identity, source, dimensions) {
      const at = performance.now();
      publication(identity, source).setVideoDimensions(dimensions);
      return at;
    },

    askFrameRate: (identity, source, fps) => publication(identity, source).setVideoFPS(fps),

    /** From now on this page takes only the given codecs (MIME types) of their kind from the server. */
    takeOnly(mimes) {
      const [kind] = mimes[0].split('/');
      const wanted = RTCRtpReceiver.getCapabilities(kind).codecs
        .filter(({ mimeType }) => [...mimes, 'video/rtx'].includes(mimeType));
      const limit = (connection, directions) => {
        for (const transceiver of connection.getTransceivers()) {
          if (transceiver.receiver.track.kind === kind && directions.includes(transceiver.direction)) {
            transceiver.setCodecPreferences(wanted);
          }
        }
      };
      const { createOffer, createAnswer } = RTCPeerConnection.prototype;
      RTCPeerConnection.prototype.createOffer = function limited(...args) {
        limit(this, ['recvonly']);
        return createOffer.apply(this, args);
      };
      RTCPeerConnection.prototype.createAnswer = function limited(...args) {
        limit(this, ['recvonly', 'inactive', 'sendrecv']);
        return createAnswer.apply(this, args);
      };
    },

    setEnabled: (identity, source, enabled) => publication(identity, source).setEnabled(enabled),
    setSubscribed: (identity, source, wanted) => publication(identity, source).setSubscribed(wanted),

    /** What this page receives of one track: inbound-rtp as it is, and its codec. */
    async inbound(identity, source) {
      const receiver = publication(identity, source)?.track?.receiver;
      if (!receiver) return null;
      const stats = await receiver.getStats();
      const entry = [...stats.values()].find((e) => e.type === 'inbound-rtp');
      if (!entry) return null;
      return { ...entry, codec: stats.get(entry.codecId)?.mimeType };
    },

    /** What this page sends of one of its tracks: one outbound-rtp per layer. */
    async outbound(source) {
      const sender = publication(null, source)?.track?.sender;
      return sender ? report(sender, 'outbound-rtp') : [];
    },

    /** Frames of a remote track shown since a time of this page's clock. */
    frames(identity, source, since) {
      const shown = frames.get(publication(identity, source)?.trackSid) ?? [];
      return shown.filter((frame) => frame.at >= since);
    },

    now: () => performance.now(),

    codecs: () => [...new Set(RTCRtpSender.getCapabilities('video').codecs.map((codec) => codec.mimeType))],
  };
})();

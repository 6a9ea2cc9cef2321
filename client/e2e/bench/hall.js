// What the hall asks of the bare page beside window.bare: window.hall.<name>(...).
// Times are ms since 1970.
(() => {
  const wall = () => performance.timeOrigin + performance.now();
  const loud = 0.02; // amplitude that counts as sound
  const audio = new AudioContext();
  const ears = new Map(); // track sid -> {last: when it was last loud}
  let sections = 0; // the most there ever were in a description
  let firstPicture;
  let watching; // {who, from, heard, own, seen}

  // Every description that the client gets or makes.
  for (const method of ['setRemoteDescription', 'setLocalDescription']) {
    const original = RTCPeerConnection.prototype[method];
    RTCPeerConnection.prototype[method] = async function described(...args) {
      const result = await original.apply(this, args);
      for (const description of [this.localDescription, this.remoteDescription]) {
        sections = Math.max(sections, description?.sdp.match(/^m=/gm)?.length ?? 0);
      }
      return result;
    };
  }

  // On the audio thread, for the page's own is busy while it negotiates: tells every 50 ms
  // from when to when a sound is loud.
  const ear = `registerProcessor('ear', class extends AudioWorkletProcessor {
    process([[samples]]) {
      if (samples?.some((sample) => Math.abs(sample) > ${loud})) {
        this.from ??= currentTime;
        this.to = currentTime;
      }
      if (this.from !== undefined && currentTime - this.from >= 0.05) {
        this.port.postMessage([this.from, this.to]);
        this.from = undefined;
      }
      return true;
    }
  });`;

  function listenTo(track, sid, who) {
    const node = new AudioWorkletNode(audio, 'ear');
    audio.createMediaStreamSource(new MediaStream([track.mediaStreamTrack])).connect(node).connect(audio.destination);
    const heard = { last: 0 };
    ears.set(sid, heard);
    const known = wall();
    node.port.onmessage = ({ data: [from, to] }) => {
      const { contextTime, performanceTime } = audio.getOutputTimestamp();
      const at = (time) => performance.timeOrigin + performanceTime + (time - contextTime) * 1000;
      heard.last = at(to);
      if (!watching || at(from) < watching.from) return;
      watching.heard = Math.min(watching.heard ?? Infinity, at(from));
      if (who === watching.who) watching.own ??= Math.max(known, at(from));
    };
  }

  function watch(track, who) {
    const video = document.createElement('video');
    Object.assign(video, { muted: true, autoplay: true, srcObject: new MediaStream([track.mediaStreamTrack]) });
    document.body.append(video);
    const shown = () => {
      firstPicture ??= wall();
      if (watching?.who === who) watching.seen ??= wall();
      if (video.isConnected) video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
    track.once('ended', () => video.remove());
  }

  window.hall = {
    /** Joins and watches what comes; gives when it began. */
    async join(url, token, singlePeerConnection) {
      const { Room, RoomEvent } = window.LivekitClient;
      const room = new Room({ adaptiveStream: false, dynacast: false, singlePeerConnection });
      window.room = room;
      room.on(RoomEvent.TrackSubscribed, (track, publication, { identity }) => {
        if (track.kind === 'audio') {
          track.attach();
          listenTo(track, publication.trackSid, identity);
        } else {
          watch(track, identity);
        }
      });
      room.on(RoomEvent.TrackUnsubscribed, (track, publication) => {
        track.detach();
        ears.delete(publication.trackSid);
      });
      await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([ear], { type: 'text/javascript' })));
      const began = wall();
      await room.connect(url, token);
      return began;
    },

    state: () => ({
      firstPicture,
      sections,
      sounds: ears.size,
      pictures: [...window.room.remoteParticipants.values()].filter((p) => p.getTrackPublication('camera')?.isSubscribed).length,
      published: [...window.room.remoteParticipants.values()].filter((p) => p.getTrackPublication('camera') && p.getTrackPublication('microphone')).length,
    }),

    /** Whether nothing was heard for so many ms. */
    quietFor: (ms) => [...ears.values()].every(({ last }) => last < wall() - ms),

    /** Shows one participant in place of another, and notes when it is seen and heard. */
    show(who, before) {
      const camera = (identity) => window.room.getParticipantByIdentity(identity).getTrackPublication('camera');
      const already = camera(who).isSubscribed;
      watching = { who, from: wall(), already };
      camera(who).setSubscribed(true);
      if (before) camera(before).setSubscribed(false);
    },

    noted: () => watching,
  };
})();

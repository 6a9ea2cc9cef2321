// What the hall asks of the bare page beside window.bare: window.hall.<name>(...).
// Times are ms since 1970.
(() => {
  const wall = () => performance.timeOrigin + performance.now();
  const loud = 0.02; // amplitude that counts as sound
  const audio = new AudioContext();
  const ears = new Map(); // track sid -> {who, analyser, last: when it was last loud}
  const samples = new Float32Array(512);
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

  function listenTo(track, who) {
    const analyser = audio.createAnalyser();
    analyser.fftSize = samples.length;
    audio.createMediaStreamSource(new MediaStream([track.mediaStreamTrack])).connect(analyser);
    ears.set(track.sid, { who, analyser, last: 0 });
  }

  function listen() {
    const now = wall();
    for (const ear of ears.values()) {
      ear.analyser.getFloatTimeDomainData(samples);
      if (!samples.some((sample) => Math.abs(sample) > loud)) continue;
      ear.last = now;
      if (!watching) continue;
      watching.heard ??= now;
      if (ear.who === watching.who) watching.own ??= now;
    }
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
          listenTo(track, identity);
        } else {
          watch(track, identity);
        }
      });
      room.on(RoomEvent.TrackUnsubscribed, (track, publication) => {
        track.detach();
        ears.delete(publication.trackSid);
      });
      setInterval(listen, 10);
      const began = wall();
      await room.connect(url, token);
      return began;
    },

    state: () => ({
      firstPicture,
      sections,
      sounds: ears.size,
      pictures: [...window.room.remoteParticipants.values()].filter((p) => p.getTrackPublication('camera')?.isSubscribed).length,
      people: window.room.remoteParticipants.size,
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

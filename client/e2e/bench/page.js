// What the bench asks of the bare page beside window.bare: window.bench.<name>(...).
// Times are ms since 1970, so that they compare with those of the lab.
(() => {
  const wall = (now) => performance.timeOrigin + now;
  const shown = []; // [at, width, presented frames so far] of every frame of the camera
  const samples = [];
  let element = 0;

  function watch(video) {
    Object.assign(video.style, { width: '1280px', height: '720px' });
    element += 1;
    const mine = element;
    const next = (now, frame) => {
      shown.push([wall(frame.presentationTime), frame.width, frame.presentedFrames, mine]);
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  const media = document.getElementById('media');
  document.querySelector('h1').remove();
  new MutationObserver((changes) => {
    for (const change of changes) {
      for (const node of change.addedNodes) if (node.tagName === 'VIDEO') watch(node);
    }
  }).observe(media, { childList: true });

  function receiver(identity, source) {
    return window.room.getParticipantByIdentity(identity)?.getTrackPublication(source)?.track?.receiver;
  }

  async function inbound(identity, source) {
    const stats = await receiver(identity, source)?.getStats();
    return [...stats?.values() ?? []].find((entry) => entry.type === 'inbound-rtp');
  }

  async function sample(identity) {
    const [video, audio] = await Promise.all([inbound(identity, 'camera'), inbound(identity, 'microphone')]);
    samples.push({
      at: wall(performance.now()),
      frames: video?.framesDecoded,
      width: video?.frameWidth,
      freezes: video?.freezeCount,
      frozen: video?.totalFreezesDuration,
      bytes: (video?.bytesReceived ?? 0) + (audio?.bytesReceived ?? 0),
      lost: video?.packetsLost,
      nacks: video?.nackCount,
      plis: video?.pliCount,
      keyFrames: video?.keyFramesDecoded,
      concealed: audio?.concealedSamples,
      silent: audio?.silentConcealedSamples,
      heard: audio?.totalSamplesReceived,
      energy: audio?.totalAudioEnergy,
    });
  }

  window.bench = {
    /** Publishes the microphone with the client's own defaults (DTX, RED), but unprocessed: its voice is no voice. */
    async publishVoice() {
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      await window.room.localParticipant.setMicrophoneEnabled(true, plain);
    },

    /** Reads the statistics of what identity publishes, again and again. */
    watch(identity, every) {
      let busy = false;
      setInterval(async () => {
        if (busy) return;
        busy = true;
        try {
          await sample(identity);
        } finally {
          busy = false;
        }
      }, every);
    },

    /** All samples, and all frames as [at, width, presented frames so far, number of the element]. */
    seen: () => ({ samples, shown }),

    /** How the media of identity comes here, as ICE selected it. */
    async route(identity) {
      const stats = await receiver(identity, 'camera')?.getStats();
      for (const transport of stats?.values() ?? []) {
        if (transport.type !== 'transport') continue;
        const pair = stats.get(transport.selectedCandidatePairId);
        const [local, remote] = [stats.get(pair?.localCandidateId), stats.get(pair?.remoteCandidateId)];
        return {
          protocol: remote?.protocol, address: remote?.address, port: remote?.port,
          type: local?.candidateType, relay: local?.relayProtocol,
        };
      }
      return null;
    },

    /** What this page has sent: {at, layers: {rid: {bytes, width, fps}}, audio: bytes}. */
    async sent() {
      const of = async (source) => {
        const sender = window.room.localParticipant.getTrackPublication(source)?.track?.sender;
        const stats = await sender?.getStats();
        return [...stats?.values() ?? []].filter((entry) => entry.type === 'outbound-rtp');
      };
      const [video, audio] = [await of('camera'), await of('microphone')];
      return {
        at: wall(performance.now()),
        layers: Object.fromEntries(video.map((e) => [e.rid ?? '', {
          bytes: e.bytesSent, width: e.frameWidth, fps: e.framesPerSecond, limited: e.qualityLimitationReason,
        }])),
        audio: audio.reduce((sum, e) => sum + e.bytesSent, 0),
      };
    },
  };
})();

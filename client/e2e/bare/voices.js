// Many participants in one page, each with a voice (a tone) and a key, and what is heard
// of a voice: window.voices.<name>(...).
(() => {
  const { Room, ExternalE2EEKeyProvider } = window.LivekitClient;

  const mouths = new Map(); // identity -> gain
  const ears = new Map(); // track -> analyser
  let audio;

  /** Room options for end-to-end encryption with one key for all. */
  async function encryption(passphrase) {
    const keyProvider = new ExternalE2EEKeyProvider();
    await keyProvider.setKey(passphrase);
    return { keyProvider, worker: new Worker('/e2ee-worker.js') };
  }

  /** Joins as each of people {token, identity, frequency}, who publish silence and receive nothing. */
  async function crowd(url, people, passphrase) {
    audio ??= new AudioContext();
    for (const { token, identity, frequency } of people) {
      const room = new Room(passphrase ? { encryption: await encryption(passphrase) } : {});
      if (passphrase) await room.setE2EEEnabled(true);
      await room.connect(url, token, { autoSubscribe: false });
      const [oscillator, gain, out] = [audio.createOscillator(), audio.createGain(), audio.createMediaStreamDestination()];
      oscillator.frequency.value = frequency;
      gain.gain.value = 0;
      oscillator.connect(gain).connect(out);
      oscillator.start();
      const [track] = out.stream.getAudioTracks();
      await room.localParticipant.publishTrack(track, { source: 'microphone', dtx: false });
      mouths.set(identity, gain);
    }
  }

  function speak(identity, loud) {
    mouths.get(identity).gain.value = loud ? 0.5 : 0;
  }

  /** What is heard in a track now: the loudest frequency, its share of the power, and the power in dB. */
  function pitch(track) {
    audio ??= new AudioContext();
    let ear = ears.get(track);
    if (!ear) {
      ear = new AnalyserNode(audio, { fftSize: 4096, smoothingTimeConstant: 0 });
      audio.createMediaStreamSource(new MediaStream([track])).connect(ear);
      ears.set(track, ear);
    }
    const bins = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(bins);
    const power = bins.map((dB) => 10 ** (dB / 10));
    const all = power.reduce((sum, p) => sum + p, 0);
    const peak = power.indexOf(Math.max(...power));
    const near = power.slice(Math.max(0, peak - 3), peak + 4).reduce((sum, p) => sum + p, 0);
    return { hz: peak * audio.sampleRate / ear.fftSize, share: all > 0 ? near / all : 0, power: all > 0 ? 10 * Math.log10(all) : -999 };
  }

  /** What is heard now of everybody whose microphone is received: identity -> {hz, share, power}. */
  function pitches() {
    const heard = {};
    for (const { identity, audioTrackPublications } of window.room.remoteParticipants.values()) {
      for (const { track } of audioTrackPublications.values()) {
        if (track) heard[identity] = pitch(track.mediaStreamTrack);
      }
    }
    return heard;
  }

  window.voices = { encryption, crowd, speak, pitches };
})();

/** Plays two soft tones through a speaker (empty id: the machine's default). Throws if the browser refuses. */
export async function playSpeakerTest(deviceId: string): Promise<void> {
  const context = new AudioContext();
  try {
    const output = context.createMediaStreamDestination();
    [523.25, 659.25].forEach((frequency, index) => {
      const start = context.currentTime + 0.1 + index * 0.35;
      const gain = new GainNode(context, { gain: 0 });
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(0.25, start + 0.03);
      gain.gain.exponentialRampToValueAtTime(0.001, start + 0.5);
      const tone = new OscillatorNode(context, { frequency });
      tone.connect(gain).connect(output);
      tone.start(start);
      tone.stop(start + 0.55);
    });
    const element = new Audio();
    element.srcObject = output.stream;
    if (deviceId && 'setSinkId' in element) await element.setSinkId(deviceId);
    await element.play();
    await new Promise((resolve) => setTimeout(resolve, 1200));
  } finally {
    await context.close();
  }
}

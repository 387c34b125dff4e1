// Sounds, computed; silent until somebody switches them on.

export class Sound {
  constructor() { this.on = localStorage.getItem("sound") === "on"; }

  toggle() {
    this.on = !this.on;
    localStorage.setItem("sound", this.on ? "on" : "off");
    if (this.on) this.play("take");
  }

  play(name) {
    if (!this.on || document.hidden) return;
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") this.context.resume();
    SOUNDS[name]?.(this);
  }

  tone(from, to, seconds, { type = "triangle", volume = 0.12, delay = 0 } = {}) {
    const { context } = this, at = context.currentTime + delay, source = context.createOscillator(), gain = context.createGain();
    source.type = type;
    source.frequency.setValueAtTime(from, at);
    source.frequency.exponentialRampToValueAtTime(to, at + seconds);
    gain.gain.setValueAtTime(volume, at);
    gain.gain.exponentialRampToValueAtTime(0.001, at + seconds);
    source.connect(gain).connect(context.destination);
    source.start(at); source.stop(at + seconds);
  }

  noise(seconds, cutoff, volume) {
    const { context } = this, at = context.currentTime;
    if (!this.hiss) {
      this.hiss = context.createBuffer(1, context.sampleRate, context.sampleRate);
      const data = this.hiss.getChannelData(0);
      for (let i = 0; i < data.length; i++) data[i] = Math.random() * 2 - 1;
    }
    const source = context.createBufferSource(), filter = context.createBiquadFilter(), gain = context.createGain();
    source.buffer = this.hiss;
    filter.type = "lowpass";
    filter.frequency.setValueAtTime(cutoff, at);
    filter.frequency.exponentialRampToValueAtTime(60, at + seconds);
    gain.gain.setValueAtTime(volume, at);
    gain.gain.exponentialRampToValueAtTime(0.001, at + seconds);
    source.connect(filter).connect(gain).connect(context.destination);
    source.start(at, Math.random() * 0.4, seconds);
  }
}

const SOUNDS = {
  bomb: (s) => s.tone(170, 90, 0.1, { type: "sine", volume: 0.16 }),
  boom: (s) => { s.noise(0.55, 1600, 0.32); s.tone(110, 35, 0.4, { type: "sine", volume: 0.25 }); },
  take: (s) => [520, 660, 880].forEach((f, i) => s.tone(f, f, 0.09, { volume: 0.08, delay: i * 0.06 })),
  die: (s) => s.tone(520, 70, 0.5, { type: "sawtooth", volume: 0.09 }),
  won: (s) => [523, 659, 784, 1047].forEach((f, i) => s.tone(f, f, 0.18, { volume: 0.1, delay: i * 0.12 })),
  count: (s) => s.tone(440, 440, 0.08, { type: "square", volume: 0.04 }),
  go: (s) => s.tone(880, 880, 0.22, { type: "square", volume: 0.05 }),
  hurry: (s) => [0, 1, 2, 3].forEach((i) => s.tone(i % 2 ? 660 : 880, i % 2 ? 660 : 880, 0.12, { type: "square", volume: 0.04, delay: i * 0.14 })),
};

// Sound in the browser: the microphone, PCM for Python, WAV for players, one player for all.
import { h } from "./dom.js";

export const LIMIT = 12; // s
const CHUNK = 1 << 20; // bytes; servers drop messages ten times as long without a word

// Collects 128-value blocks on the audio thread into 1024-value ones: 47 messages a second.
const CAPTURE = `registerProcessor("qvim-capture", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(1024);
    this.filled = 0;
    this.port.onmessage = () => { this.post(); this.port.postMessage(null); };
  }
  post() {
    this.port.postMessage(this.block.slice(0, this.filled));
    this.filled = 0;
  }
  process([input]) {
    if (!input[0]) return true;
    this.block.set(input[0], this.filled);
    this.filled += input[0].length;
    if (this.filled === this.block.length) this.post();
    return true;
  }
});`;

const REFUSALS = {
  NotFoundError: "No microphone was found. Plug one in and record again, or open a file, or pick "
    + "an example.",
  NotAllowedError: "The browser does not allow the microphone on this page. Allow it in the "
    + "address bar (in VS Code: open the notebook in JupyterLab) and record again, or open a "
    + "file, or pick an example.",
  NotReadableError: "The microphone is in use by another program. Close that and record again.",
};
REFUSALS.OverconstrainedError = REFUSALS.NotFoundError;
REFUSALS.SecurityError = REFUSALS.NotAllowedError;
REFUSALS.AbortError = REFUSALS.NotReadableError;

async function openMicrophone() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error(`Browsers give the microphone to secure pages only, and ${location.origin} `
      + "is none: open this page at http://localhost or by https. Or open a file, or pick an "
      + "example.");
  }
  // What telephones need harms a search: it cuts the level to a third and hums to pieces.
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { ...plain, channelCount: 1 } });
  } catch (error) {
    throw new Error(REFUSALS[error.name] ?? `The microphone cannot be used: ${error.message}`);
  }
}

// Record until stop() or the limit. onblock(block, seconds so far); onend() once, at the end.
// Call it from a click: before one, browsers keep audio suspended.
export async function startRecording({ onblock, onend }) {
  const context = new AudioContext();
  const close = (stream) => {
    stream?.getTracks().forEach((track) => track.stop());
    if (context.state !== "closed") context.close();
  };
  let stream;
  let node;
  try {
    if (context.audioWorklet) { // where it is not, there is no microphone, either
      const url = URL.createObjectURL(new Blob([CAPTURE], { type: "text/javascript" }));
      await context.audioWorklet.addModule(url);
      URL.revokeObjectURL(url);
    }
    stream = await openMicrophone(); // at last: from here on no sound is to be missed
    await context.resume();
    node = new AudioWorkletNode(context, "qvim-capture");
  } catch (error) {
    close(stream);
    throw error;
  }
  const blocks = [];
  let length = 0;
  let ended = false;
  const rate = context.sampleRate; // what the track's settings say may be wrong
  const finish = () => {
    if (ended) return;
    ended = true;
    clearTimeout(deaf);
    close(stream);
    onend({ pcm: joined(blocks, length).subarray(0, LIMIT * rate), rate });
  };
  const stop = () => {
    node.port.postMessage("stop"); // answered after the rest of the sound
    setTimeout(finish, 300);
  };
  const deaf = setTimeout(() => length || stop(), 3000);
  node.port.onmessage = ({ data }) => {
    if (ended) return;
    if (data === null) return finish();
    blocks.push(data);
    length += data.length;
    onblock(data, length / rate);
    if (length >= LIMIT * rate) finish();
  };
  const silent = new GainNode(context, { gain: 0 }); // a node that leads nowhere is not run
  const microphone = context.createMediaStreamSource(stream);
  microphone.connect(node).connect(silent).connect(context.destination);
  stream.getTracks().forEach((track) => track.addEventListener("ended", stop));
  return { stop, rate };
}

function joined(blocks, length) {
  const all = new Float32Array(length);
  let place = 0;
  for (const block of blocks) {
    all.set(block, place);
    place += block.length;
  }
  return all;
}

export const peakOf = (pcm) => pcm.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);

// Some microphones go beyond full scale; what is turned down to fit keeps its peaks.
export function toInt16(pcm) {
  const scale = 1 / Math.max(1, peakOf(pcm));
  return { scale, values: Int16Array.from(pcm, (value) => Math.round(value * scale * 32767)) };
}

// Send a buffer in chunks, each when Python asks for it; what is lost is asked for again.
// Resolves to the id of the take; onwait() when an answer is late.
export async function upload(link, buffer, about, onwait) {
  const chunks = Math.max(1, Math.ceil(buffer.byteLength / CHUNK));
  const id = Math.random().toString(36).slice(2);
  let patience = 3 * chunks + 3; // questions
  for (let index = 0; ; ) {
    const part = buffer.slice(index * CHUNK, (index + 1) * CHUNK);
    try {
      const answer = await link.ask("chunk", { ...about, upload: id, index, chunks }, [part], 10);
      if (answer.take) return answer.take;
      index = answer.next;
    } catch (error) {
      if (error.name !== "Unanswered") throw error;
      onwait();
    }
    if ((patience -= 1) < 0) throw new Error("The recording did not reach Python.");
  }
}

// Mono PCM in 16 bits with a WAV header.
export function wavOf(pcm, rate) {
  const { values } = toInt16(pcm);
  const header = new DataView(new ArrayBuffer(44));
  for (const [place, word] of [[0, "RIFF"], [8, "WAVEfmt "], [36, "data"]]) {
    [...word].forEach((letter, i) => header.setUint8(place + i, letter.charCodeAt(0)));
  }
  header.setUint32(4, 36 + values.byteLength, true);
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true), header.setUint16(22, 1, true);
  header.setUint32(24, rate, true), header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true), header.setUint16(34, 16, true);
  header.setUint32(40, values.byteLength, true);
  return new Blob([header, values], { type: "audio/wav" });
}

// What libsndfile cannot open, such as a telephone's m4a, the browser may.
export async function decode(file) {
  const context = new OfflineAudioContext(1, 1, 48000);
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  const length = Math.min(sound.length, LIMIT * sound.sampleRate);
  const mono = new Float32Array(length);
  for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
    const values = sound.getChannelData(channel);
    for (let i = 0; i < length; i += 1) mono[i] += values[i] / sound.numberOfChannels;
  }
  return { pcm: mono, rate: sound.sampleRate };
}

// One player for all sounds of a widget: starting one stops the other. A sound is known by its
// key; whatever shows it has data-sound=key and is told to how far it has been played.
export class Player {
  constructor(root, onfail) {
    this.root = root;
    this.audio = h("audio", { class: "qv-audio", preload: "auto" });
    this.key = null;
    this.onfail = onfail;
    for (const name of ["play", "playing", "pause", "ended"]) {
      this.audio.addEventListener(name, () => this.show());
    }
    root.append(this.audio);
  }

  async toggle(key, load) {
    if (this.key === key && !this.audio.paused) return this.stop();
    this.stop();
    this.key = key;
    try {
      const blob = await load();
      if (this.key !== key) return; // another was asked for meanwhile
      URL.revokeObjectURL(this.audio.src);
      this.audio.src = URL.createObjectURL(blob);
      await this.audio.play();
    } catch (error) {
      if (error.name === "AbortError") return; // stopped before it began
      this.key = null;
      this.onfail(error);
    }
    this.show();
  }

  stop() {
    this.audio.pause();
    this.key = null;
    this.show();
  }

  show() {
    const playing = this.key !== null && !this.audio.paused && !this.audio.ended;
    const done = playing && this.audio.duration ? this.audio.currentTime / this.audio.duration : 0;
    for (const element of this.root.querySelectorAll("[data-sound]")) {
      const own = playing && element.dataset.sound === this.key;
      element.classList.toggle("qv-playing", own);
      element.style.setProperty("--qv-played", own ? done : 0);
      element.dispatchEvent(new CustomEvent("played", { detail: own ? done : null }));
    }
    cancelAnimationFrame(this.frame);
    if (playing) this.frame = requestAnimationFrame(() => this.show());
  }
}

// Record, see, trim, hear; a list of takes. A panel that other widgets hold, too.
import { LIMIT, decode, peakOf, startRecording, toInt16, upload, wavOf } from "./audio.js";
import { button, duration, h, icon, iconButton, keepingFocus, labelled, watch } from "./dom.js";
import { frame } from "./frame.js";
import { waveformView } from "./waveform.js";

const PROMPT = "Press Record and hum, whistle or imitate the sound you have in mind";

// `verb` says what is done with a take that is chosen again: "Search" or "Use".
// onstop(): called the moment a recording or file ends, before Python has it.
export function recorderPanel({ model, link, player, message, verb, onstop }) {
  const sounds = new Map(); // take → { pcm, rate }; Python is asked for what is not here
  let recording = null; // { stop } while one is made
  let sending = null; // the upload under way: what it sends need not be asked for

  const recordButton = button({ class: "qv-record" });
  const timer = h("span", { class: "qv-timer", role: "timer", "aria-label": "Time left" });
  const level = h("div", { class: "qv-level", role: "meter", "aria-valuenow": "-60",
    "aria-label": "Level of the microphone, decibels", "aria-valuemin": "-60",
    "aria-valuemax": "0" }, h("div"));
  const wave = waveformView({
    ontrim: (start, end) => ask("trim", { id: model.get("_current"), start, end }),
  });
  const playButton = button({ "data-sound": "take", disabled: true },
    icon("play"), icon("pause"), h("span", {}, "Play"));
  const length = h("span", { class: "qv-muted qv-length" });
  const file = h("input", { type: "file", class: "qv-hidden-file", tabindex: "-1",
    accept: "audio/*,.wav,.flac,.ogg,.opus,.mp3,.m4a,.aif,.aiff", "aria-label": "Audio file" });
  const openButton = button({}, icon("open"), "Open a file");
  const examples = h("select", { class: "qv-select qv-examples" });
  const list = h("ul", { class: "qv-takes", "aria-label": "Takes" });

  const current = () => model.get("_takes").find((take) => take.id === model.get("_current"));

  async function ask(what, fields) {
    try {
      await link.ask(what, fields);
    } catch (error) {
      message.fail(error);
      showTake(false); // as it is, not as it was wished
    }
  }

  function showState() {
    const on = recording !== null;
    recordButton.replaceChildren(icon(on ? "stop" : "record"),
      on ? "Stop" : model.get("_takes").length ? "Record again" : "Record");
    recordButton.classList.toggle("qv-on", on);
    playButton.disabled = on || !current();
    for (const control of [openButton, examples]) control.disabled = on;
    if (!on) {
      timer.textContent = `up to ${LIMIT} s`;
      showLevel(0);
    }
  }

  function showLevel(peak) {
    const decibels = Math.max(-60, 20 * Math.log10(Math.max(peak, 1e-6)));
    level.setAttribute("aria-valuenow", decibels.toFixed(0));
    level.firstChild.style.transform = `scaleX(${1 + decibels / 60})`;
    level.classList.toggle("qv-loud", peak >= 0.99);
  }

  async function record() {
    if (recording) return recording.stop();
    player.stop();
    message.say("Waiting for the microphone. If the browser asks, allow it.");
    recordButton.disabled = true;
    try {
      recording = await startRecording({
        onblock(block, so_far) {
          const peak = peakOf(block);
          wave.grow(peak, so_far);
          showLevel(peak);
          timer.textContent = `${duration(Math.max(0, LIMIT - so_far))} left`;
        },
        onend({ pcm, rate }) {
          recording = null;
          showState();
          send(pcm, rate, { source: "microphone" });
        },
      });
      wave.begin();
      message.say("Recording");
    } catch (error) {
      message.fail(error);
    }
    recordButton.disabled = false;
    showState();
    recordButton.focus();
  }

  const late = () => message.say("Waiting for Python: is another cell running?", "warning");

  async function send(pcm, rate, about) {
    onstop();
    message.say("Listening …");
    const { values, scale } = toInt16(pcm);
    sending = upload(link, values.buffer, { kind: "pcm", rate, scale, ...about }, late)
      .then((take) => sounds.set(take, { pcm, rate }));
    try {
      await sending;
    } catch (error) {
      const retry = () => send(pcm, rate, about);
      const again = button({ onclick: retry }, "Send again");
      message.say(error.message, "error", error.name === "Unanswered" ? again : null);
      showTake(false);
    }
  }

  async function openFile(chosen) {
    player.stop();
    onstop();
    message.say(`Reading ${chosen.name} …`);
    try {
      await upload(link, await chosen.arrayBuffer(), { kind: "file", name: chosen.name }, late);
    } catch (error) {
      if (!/decoded/.test(error.message)) return message.fail(error);
      try {
        const { pcm, rate } = await decode(chosen);
        await send(pcm, rate, { source: "file", name: chosen.name });
      } catch {
        message.fail(error); // Python's reason is the clearer one
      }
    }
  }

  async function soundOf(take) {
    await sending?.catch(() => {});
    if (!sounds.has(take)) {
      const { rate, scale, buffers: [data] } = await link.ask("sound", { id: take });
      const { buffer, byteOffset: from, byteLength } = data;
      const values = new Int16Array(buffer.slice(from, from + byteLength));
      sounds.set(take, { rate, pcm: Float32Array.from(values, (value) => value / 32767 / scale) });
    }
    return sounds.get(take);
  }

  const play = (take, key) => player.toggle(key, async () => {
    const { pcm, rate } = await soundOf(take.id);
    return wavOf(pcm.subarray(Math.round(take.start * rate), Math.round(take.end * rate)), rate);
  });

  async function showTake(tell = true) {
    const take = current();
    if (recording) return;
    showState();
    if (!take) {
      wave.clear(PROMPT);
      length.textContent = "";
      return;
    }
    try {
      const { pcm, rate } = await soundOf(take.id);
      if (take.id !== model.get("_current") || recording) return;
      wave.show(pcm, rate, take.start, take.end);
    } catch (error) {
      return message.fail(error);
    }
    length.textContent = `${take.name}: ${wave.label}`;
    if (!tell) return;
    if (take.warning) message.say(`${take.name} is ${take.warning}.`, "warning");
    else message.say();
  }

  function showList() {
    const line = (take) => {
      const { id, name, start, end } = take;
      const key = (what) => ({ "data-key": `take-${id}-${what}` });
      const again = () => (onstop(), ask("use", { id }));
      const hear = iconButton("play", `Play ${name}`, () => play(take, `take-${id}`),
        { "data-sound": `take-${id}`, ...key("play") });
      hear.append(icon("pause"));
      return h("li", { class: "qv-take", "aria-current": id === model.get("_current") && "true" },
        hear, h("span", {}, name, " ", h("small", {}, duration(end - start))),
        iconButton("search", `${verb} again with ${name}`, again, key("use")),
        iconButton("wrong", `Delete ${name}`, () => remove(take), key("delete")));
    };
    keepingFocus(list, () => list.replaceChildren(...model.get("_takes").map(line)));
  }

  async function remove(take) {
    await ask("delete", { id: take.id });
    sounds.delete(take.id);
    if (!list.contains(document.activeElement)) recordButton.focus();
  }

  function showExamples() {
    examples.replaceChildren(h("option", { value: "" }, "choose …"),
      ...model.get("_examples").map((name) => h("option", { value: name }, name)));
  }

  recordButton.onclick = record;
  playButton.onclick = () => play(current(), "take");
  playButton.addEventListener("played", ({ detail }) => wave.played(detail));
  openButton.onclick = () => file.click();
  file.onchange = () => {
    if (file.files[0]) openFile(file.files[0]);
    file.value = ""; // the same file can be opened again
  };
  examples.onchange = async () => {
    if (!examples.value) return;
    player.stop();
    onstop();
    message.say("Fetching the example …");
    await ask("example", { name: examples.value });
    examples.value = "";
  };

  const changed = () => (showList(), showTake());
  const unwatch = watch(model, { _takes: changed, _current: changed, _examples: showExamples });
  showExamples();
  changed();

  const example = labelled("or try an example", examples);
  example.hidden = !model.get("_examples").length;
  const element = h("section", { class: "qv-recorder", "aria-label": "Recorder" },
    h("div", { class: "qv-row" }, recordButton, h("div", { class: "qv-meters" }, timer, level),
      h("span", { class: "qv-spring" }), file, openButton, example),
    wave.element,
    h("div", { class: "qv-row qv-tools" }, playButton, length, list));
  return {
    element,
    redraw: wave.redraw,
    close() {
      recording?.stop();
      unwatch();
    },
  };
}

export function recorderWidget({ model, el }) {
  return frame(el, model, ({ link, message, player }) => {
    const panel = recorderPanel({ model, link, player, message, verb: "Use", onstop: () => {} });
    return { elements: [panel.element, message.element], redraw: panel.redraw, close: panel.close };
  });
}

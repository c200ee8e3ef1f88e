// The picture of a recording, growing while it is made; afterwards with two handles to trim it.
import { duration, h } from "./dom.js";
import { LIMIT } from "./audio.js";

const SHORTEST = 0.1; // s between the handles
const STEPS = { ArrowLeft: -0.01, ArrowDown: -0.01, ArrowRight: 0.01, ArrowUp: 0.01,
  PageDown: -0.1, PageUp: 0.1 };

// ontrim(start, end), seconds, once a handle is let go.
export function waveformView({ ontrim }) {
  const canvas = h("canvas", { class: "qv-canvas", "aria-hidden": "true" });
  const hint = h("span", { class: "qv-hint" });
  const shades = ["start", "end"].map((side) => h("div", { class: `qv-shade qv-shade-${side}` }));
  const playhead = h("div", { class: "qv-playhead", hidden: true });
  const handles = ["start", "end"].map((side) => h("div", {
    class: `qv-handle qv-handle-${side}`, role: "slider", tabindex: "0", hidden: true,
    "aria-label": `${side === "start" ? "Start" : "End"} of the part that counts`,
    "aria-valuemin": "0",
  }));
  const element = h("div", { class: "qv-wave", role: "group", "aria-label": "Recording" },
    canvas, ...shades, playhead, ...handles, hint);
  let view = { peaks: [], total: LIMIT, trim: null };

  function draw() {
    const { width, height } = element.getBoundingClientRect();
    if (!width) return;
    const sharp = devicePixelRatio || 1;
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(height * sharp);
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(element);
    const middle = canvas.height / 2;
    if (hint.textContent) return;
    pen.fillStyle = style.getPropertyValue("--qv-line");
    pen.fillRect(0, Math.round(middle), canvas.width, 1);
    pen.fillStyle = style.getPropertyValue("--qv-accent");
    const bars = Math.max(1, Math.floor(width / 3));
    for (let bar = 0; bar < bars; bar += 1) {
      const peak = loudest(view, bar / bars, (bar + 1) / bars);
      if (peak === null) continue;
      const tall = Math.max(sharp, Math.sqrt(peak) * 0.92 * canvas.height); // quiet parts show, too
      pen.fillRect(Math.round(bar * 3 * sharp), middle - tall / 2, 2 * sharp, tall);
    }
  }

  function place() {
    const { total, trim } = view;
    handles.forEach((handle, side) => {
      handle.hidden = !trim;
      if (!trim) return;
      handle.style.left = `${(100 * trim[side]) / total}%`;
      handle.setAttribute("aria-valuemax", total.toFixed(2));
      handle.setAttribute("aria-valuenow", trim[side].toFixed(2));
      handle.setAttribute("aria-valuetext", `${trim[side].toFixed(2)} seconds`);
    });
    shades[0].style.width = trim ? `${(100 * trim[0]) / total}%` : 0;
    shades[1].style.width = trim ? `${100 - (100 * trim[1]) / total}%` : 0;
  }

  function move(side, second) {
    const { total, trim } = view;
    const least = Math.min(SHORTEST, total);
    trim[side] = side === 0
      ? Math.max(0, Math.min(second, trim[1] - least))
      : Math.min(total, Math.max(second, trim[0] + least));
    place();
  }

  handles.forEach((handle, side) => {
    const letGo = () => ontrim(...view.trim);
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.focus();
      handle.setPointerCapture(event.pointerId);
      const box = element.getBoundingClientRect();
      const drag = ({ clientX }) => move(side, ((clientX - box.left) / box.width) * view.total);
      handle.addEventListener("pointermove", drag);
      handle.addEventListener("lostpointercapture", () => {
        handle.removeEventListener("pointermove", drag);
        letGo();
      }, { once: true });
    });
    let waiting; // one search for a run of key presses
    handle.addEventListener("keydown", (event) => {
      const ends = { Home: 0, End: view.total };
      if (!(event.key in STEPS) && !(event.key in ends)) return;
      event.preventDefault();
      const step = (STEPS[event.key] ?? 0) * (event.shiftKey ? 10 : 1);
      move(side, ends[event.key] ?? view.trim[side] + step);
      clearTimeout(waiting);
      waiting = setTimeout(letGo, 400);
    });
  });
  new ResizeObserver(draw).observe(element);

  return {
    element,
    redraw: draw,
    begin() {
      view = { peaks: [], total: LIMIT, trim: null, perSecond: 0 };
      hint.textContent = "";
      place();
      draw();
    },
    grow(peak, second) { // one more block of a recording that is being made
      view.peaks.push(peak);
      view.perSecond = view.peaks.length / second;
      draw();
    },
    show(pcm, rate, start, end) {
      const block = Math.max(1, Math.floor(pcm.length / 1000));
      const peaks = [];
      for (let i = 0; i < pcm.length; i += block) {
        let peak = 0;
        for (let j = i; j < Math.min(i + block, pcm.length); j += 1) {
          peak = Math.max(peak, Math.abs(pcm[j]));
        }
        peaks.push(peak);
      }
      const total = pcm.length / rate;
      view = { peaks, total, trim: [start, end], perSecond: peaks.length / total };
      hint.textContent = "";
      place();
      draw();
    },
    clear(text) {
      view = { peaks: [], total: LIMIT, trim: null };
      hint.textContent = text;
      place();
      draw();
    },
    played(done) { // from 0 to 1 of the trimmed part; null when it ends
      playhead.hidden = done === null || !view.trim;
      if (playhead.hidden) return;
      const [start, end] = view.trim;
      playhead.style.left = `${(100 * (start + done * (end - start))) / view.total}%`;
    },
    get label() {
      return view.trim ? `${duration(view.trim[1] - view.trim[0])} of ${duration(view.total)}` : "";
    },
  };
}

// The loudest value between two places of the picture, 0 to 1; null where nothing is yet.
function loudest({ peaks, total, perSecond }, from, to) {
  const first = Math.floor(from * total * perSecond);
  if (!peaks.length || first >= peaks.length) return null;
  const last = Math.max(first + 1, Math.floor(to * total * perSecond));
  return Math.max(...peaks.slice(first, last));
}

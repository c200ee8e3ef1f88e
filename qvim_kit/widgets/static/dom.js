// What every widget here uses: elements, icons, focus, the theme, and questions to Python.

// h("button", { class: "x", onclick: f, disabled: true }, "text", otherElement)
// Text is always text: names of files never become HTML.
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const ICONS = {
  play: "M5 3.5v13l11-6.5z",
  pause: "M5 4h3.5v12H5zM11.5 4H15v12h-3.5z",
  stop: "M4.5 4.5h11v11h-11z",
  record: "M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12z",
  search: "M8.5 2.5a6 6 0 1 0 3.6 10.8l4 4 1.4-1.4-4-4A6 6 0 0 0 8.5 2.5z"
    + "m0 2a4 4 0 1 1 0 8 4 4 0 0 1 0-8z",
  similar: "M3 9.5h2v1H3zM6 6.5h2v7H6zM9 3.5h2v13H9zM12 6.5h2v7h-2zM15 9.5h2v1h-2z",
  download: "M9 3h2v7h3l-4 4.5L6 10h3zM4 15.5h12v1.8H4z",
  right: "M8 15.2 3.2 10.4l1.6-1.6L8 12l7.2-7.2 1.6 1.6z",
  wrong: "M5.4 4 10 8.6 14.6 4 16 5.4 11.4 10l4.6 4.6-1.4 1.4-4.6-4.6L5.4 16 4 14.6 8.6 10 4 5.4z",
  again: "M10 4a6 6 0 1 0 5.9 7.2h-2.1A4 4 0 1 1 10 6c1 0 2 .4 2.7 1.1L10.5 9.3H16.2V3.6L14.1 5.7"
    + "A6 6 0 0 0 10 4z",
  open: "M9 15V7.8L6.4 10.4 5 9l5-5 5 5-1.4 1.4L11 7.8V15zM4 16h12v1.6H4z",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `qv-icon qv-icon-${name}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function button(properties, ...children) {
  const own = `qv-button ${properties.class ?? ""}`.trim();
  return h("button", { type: "button", ...properties, class: own }, ...children);
}

export function iconButton(name, label, onclick, properties = {}) {
  const all = { "aria-label": label, title: label, onclick, ...properties };
  return button({ ...all, class: `qv-iconic ${properties.class ?? ""}`.trim() }, icon(name));
}

// Call a function whenever Python changes a value: { name: function }. Returns how to stop.
export function watch(model, changes) {
  const pairs = Object.entries(changes).map(([name, call]) => [`change:${name}`, call]);
  for (const [event, call] of pairs) model.on(event, call);
  return () => pairs.forEach(([event, call]) => model.off(event, call));
}

let counted = 0;
export const uniqueId = (what) => `qv-${what}-${(counted += 1)}`;

// A field with its visible label.
export function labelled(text, control) {
  control.id ||= uniqueId("field");
  return h("span", { class: "qv-field" }, h("label", { for: control.id }, text), control);
}

// Seconds for people, from 1:00 min on as a clock; "" for what is no time.
export function duration(value, digits = 1) {
  if (!Number.isFinite(value) || value < 0) return "";
  if (value < 59.95) return `${value.toFixed(digits)} s`;
  const whole = Math.round(value);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (number) => String(number).padStart(2, "0");
  if (!hours) return `${minutes}:${two(whole % 60)} min`;
  return `${hours}:${two(minutes)}:${two(whole % 60)} h`;
}

// A button that is off, but keeps the keyboard's place, which a disabled one loses.
export const turnOff = (control, off) => control.setAttribute("aria-disabled", String(off));
export const isOff = (control) => control.getAttribute("aria-disabled") === "true";

// Redraw without losing the keyboard's place: the element with the same data-key gets the focus.
export function keepingFocus(root, draw) {
  const held = root.contains(document.activeElement) && document.activeElement.dataset.key;
  draw();
  if (held) root.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
}

// Native controls and canvases follow the page's theme, whoever sets it: a light text colour
// means a dark page.
export function followTheme(root, redraw) {
  const apply = () => {
    const color = getComputedStyle(root).color.match(/[\d.]+/g);
    if (!color) return void delete root.dataset.theme; // not in the page: it has no colour
    const [r, g, b] = color.map(Number);
    root.dataset.theme = 0.3 * r + 0.6 * g + 0.1 * b > 127 ? "dark" : "light";
    redraw();
  };
  const observer = new MutationObserver(() => setTimeout(apply, 50));
  const watched = { attributes: true, attributeFilter: ["class", "style", "data-jp-theme-name"] };
  observer.observe(document.body, watched);
  observer.observe(document.documentElement, watched);
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", apply);
  // Once it is in the page, and again after it was not.
  const arrival = new ResizeObserver(() => root.dataset.theme || apply());
  arrival.observe(root);
  return () => (observer.disconnect(), arrival.disconnect(),
    media.removeEventListener("change", apply));
}

// Ask Python and wait for its answer. Every view of a widget hears every answer; the random part
// of the number tells whose it is.
export function connect(model) {
  const waiting = new Map();
  const me = Math.random().toString(36).slice(2);
  let asked = 0;
  const hear = (content, buffers) => {
    const resolve = waiting.get(content?.answer);
    if (!resolve) return;
    waiting.delete(content.answer);
    resolve({ ...content, buffers: buffers ?? [] });
  };
  model.on("msg:custom", hear);
  function ask(what, fields = {}, buffers = [], patience = 60) {
    const number = `${me}-${(asked += 1)}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(number);
        reject(new Unanswered());
      }, patience * 1000);
      waiting.set(number, (answer) => {
        clearTimeout(timer);
        if (answer.error) reject(new Error(answer.error));
        else resolve(answer);
      });
      model.send({ do: what, ask: number, ...fields }, undefined, buffers);
    });
  }
  return { ask, close: () => model.off("msg:custom", hear) };
}

export class Unanswered extends Error {
  constructor() {
    super("Python did not answer. Is the kernel running, and no other cell? "
      + "If so, run this cell again.");
    this.name = "Unanswered";
  }
}

// The one line that tells what happened; screen readers read it out.
export function messageLine() {
  const element = h("p", { class: "qv-message", role: "status", "aria-live": "polite" });
  const say = (text = "", kind = "plain", action = null) => {
    element.dataset.kind = kind;
    element.replaceChildren(text, ...(action ? [" ", action] : []));
  };
  return { element, say, fail: (error) => say(error.message ?? String(error), "error") };
}

// Search by voice: the library above, the recorder, words, the filter, and what was found.
import { frame } from "./frame.js";
import { filterPanel, libraryPanel } from "./library.js";
import { duration, h } from "./dom.js";
import { recorderPanel } from "./recorder.js";
import { resultsPanel } from "./results.js";
import { wordsPanel } from "./words.js";

export function searchWidget({ model, el }) {
  return frame(el, model, ({ root, link, message, player }) => {
    let stopped = null; // when the last sound ended, until its results are shown
    const busy = (on) => root.classList.toggle("qv-searching", on);
    const onstop = () => {
      stopped = performance.now();
      busy(true);
    };
    // What was refused, or not answered, is not waited for: whoever says so comes by here.
    const say = (text, kind, action) => {
      if (kind === "error") {
        stopped = null;
        busy(false);
      }
      message.say(text, kind, action);
    };
    const told = { ...message, say, fail: (error) => say(error.message ?? String(error), "error") };
    // The time from the end of a sound to its results, once; "" for any other result.
    const sinceStop = ({ query, panels }) => {
      busy(false);
      const waited = (performance.now() - stopped) / 1000;
      const known = stopped !== null && query?.kind === "take" && panels.length;
      stopped = null;
      return known ? duration(waited, 2) : "";
    };
    const ask = (what, fields) => link.ask(what, fields).then(() => told.say(), told.fail);
    const parts = { model, link, player, message: told, ask, sinceStop };
    const library = libraryPanel(parts);
    const recorder = recorderPanel({ ...parts, verb: "Search", onstop });
    const words = wordsPanel({ ...parts, onask: () => busy(true) });
    const filter = filterPanel(parts);
    const results = resultsPanel(parts);
    ask("hello"); // indexing begins; and without a kernel the page says so
    const queries = h("div", { class: "qv-queries" }, recorder.element, words.element);
    return {
      elements: [library.element, queries, message.element, filter.element, results.element],
      redraw: recorder.redraw,
      close: () => [library, recorder, words, filter, results].forEach((part) => part.close()),
    };
  });
}

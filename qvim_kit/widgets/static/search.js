// Search by voice: the library above, the recorder, the filter, and what was found.
import { frame } from "./frame.js";
import { filterPanel, libraryPanel } from "./library.js";
import { h } from "./dom.js";
import { recorderPanel } from "./recorder.js";
import { resultsPanel } from "./results.js";

export function searchWidget({ model, el }) {
  return frame(el, model, ({ root, link, message, player }) => {
    let stopped = null; // when the last sound ended, until its results are shown
    const onstop = () => {
      stopped = performance.now();
      root.classList.add("qv-searching");
    };
    // The time from the end of a recording to its results, once; "" for any other result.
    const sinceStop = (query) => {
      root.classList.remove("qv-searching");
      if (stopped === null || query?.kind !== "take") return "";
      const waited = (performance.now() - stopped) / 1000;
      stopped = null;
      return `${waited.toFixed(2)} s`;
    };
    const ask = (what, fields) => link.ask(what, fields).then(() => message.say(), message.fail);
    const parts = { model, link, player, message, ask, sinceStop };
    const library = libraryPanel(parts);
    const recorder = recorderPanel({ ...parts, verb: "Search", onstop });
    const filter = filterPanel(parts);
    const results = resultsPanel(parts);
    ask("hello"); // indexing begins; and without a kernel the page says so
    // One place for every way to ask: the voice now, words beside it once a system knows them.
    const queries = h("div", { class: "qv-queries" }, recorder.element);
    return {
      elements: [library.element, queries, message.element, filter.element, results.element],
      redraw: recorder.redraw,
      close: () => [library, recorder, filter, results].forEach((part) => part.close()),
    };
  });
}

// One trial of a listening test: the imitation, the sounds found, a slider for each.
import { button, h, icon, watch } from "./dom.js";
import { frame } from "./frame.js";

const WORDS = ["bad", "poor", "fair", "good", "excellent"];

export function ratingWidget({ model, el }) {
  return frame(el, model, ({ link, message, player }) => {
    const element = h("section", { class: "qv-rating", "aria-label": "Listening test" });

    const hear = (label, title) => {
      const trial = model.get("_trial").id;
      const key = `${trial}-${label}`;
      const load = async () => {
        const { buffers: [data] } = await link.ask("hear", { trial, label });
        return new Blob([data], { type: "audio/wav" });
      };
      return button({ "data-sound": key, onclick: () => player.toggle(key, load) },
        icon("play"), icon("pause"), title);
    };

    function showTrial({ id, number, total, labels }) {
      const ratings = {};
      const store = button({ class: "qv-main", disabled: true }, "Store and go on");
      const rows = labels.map((label) => {
        const word = h("output", {}, "not rated");
        // Only what was touched is a rating: a slider's middle is no opinion.
        const rate = ({ target }) => {
          ratings[label] = Number(target.value);
          const step = Math.min(4, Math.floor(target.value / 20));
          word.textContent = `${target.value} · ${WORDS[step]}`;
          slider.classList.remove("qv-untouched");
          store.disabled = Object.keys(ratings).length < labels.length;
        };
        const slider = h("input", { type: "range", min: "0", max: "100", value: "50",
          class: "qv-untouched", "aria-label": `How well does sound ${label} match?`,
          oninput: rate, onpointerup: rate });
        return h("div", { class: "qv-rated" }, hear(label, `Sound ${label}`), slider, word);
      });
      store.onclick = async () => {
        player.stop();
        store.disabled = true;
        try {
          await link.ask("rate", { trial: id, ratings });
          message.say();
        } catch (error) {
          store.disabled = false;
          message.fail(error);
        }
      };
      element.replaceChildren(
        h("p", { class: "qv-muted", role: "status" }, `Imitation ${number} of ${total}`),
        h("div", { class: "qv-row" }, hear("query", "The imitation")),
        h("p", {}, "How well does each sound match what was imitated? 0 is not at all, "
          + "100 is exactly it."),
        ...rows, h("div", { class: "qv-row" }, store), told());
      // The button that had the keyboard's place is gone: the next trial begins at its top.
      if (model.get("_told").length) element.querySelector("button").focus({ preventScroll: true });
    }

    function told() {
      const each = model.get("_told")
        .map(([label, systems, rating]) => `${label} was ${systems.join(" and ")}, ${rating}`);
      return h("p", { class: "qv-muted" }, each.length ? `The trial before: ${each.join("; ")}.`
        : "Who found what is told when you have rated.");
    }

    function showStandings(rows) {
      const head = ["system", "mean rating", "95 % interval", "queries"];
      const line = (cells, tag) => h("tr", {}, cells.map((cell) => h(tag, {}, cell)));
      element.replaceChildren(
        h("p", { role: "status" }, "All trials are rated. Thank you."), told(),
        h("table", { class: "qv-standings" }, h("thead", {}, line(head, "th")),
          h("tbody", {}, rows.map((row) => line(row, "td")))));
    }

    const show = () => {
      const trial = model.get("_trial");
      if (trial.id) showTrial(trial);
      else showStandings(model.get("_standings"));
    };
    const close = watch(model, { _trial: show });
    show();
    return { elements: [element, message.element], redraw: () => {}, close };
  });
}

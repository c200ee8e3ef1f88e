// The ranked sounds: one list, or two side by side; hear, see, download, mark, search on.
import { button, duration, h, icon, iconButton, keepingFocus, uniqueId, watch }
  from "./dom.js";

const COSINE = "Cosine of the embeddings; 1 is the same";
const FUSED = "Mean of the voice's and the words' score, each in standard deviations over the "
  + "library; the bar is relative to the best";

export function resultsPanel({ model, link, player, message, ask, sinceStop }) {
  const pictures = new Map(); // sound → its spectrogram, as a data URL
  const summary = h("p", { class: "qv-summary", role: "status" });
  const keep = h("input", { type: "checkbox", id: uniqueId("keep") });
  const keeping = h("span", {
    class: "qv-check",
    title: "Marks are stored in a file on this computer with a fingerprint of your recording and "
      + "your words, and the recording itself only if you tick this",
  }, keep, h("label", { for: keep.id }, "keep my recording"));
  const none = button({ class: "qv-none" }, icon("wrong"), "None of these");
  const judge = h("p", { class: "qv-judge" });
  const panels = h("div", { class: "qv-panels" });
  const more = button({}, "Show more");

  keep.onchange = () => ask("keep", { keep: keep.checked });
  none.onclick = () => ask("none_right");
  more.onclick = () => ask("more");
  let rowsBefore = 0;

  const hear = (row) => player.toggle(`sound-${row.name}`, async () => {
    const { buffers: [data] } = await link.ask("hear", { name: row.name });
    return new Blob([data], { type: "audio/wav" });
  });

  async function download(row) {
    try {
      const { file, buffers: [data] } = await link.ask("download", { name: row.name });
      const href = URL.createObjectURL(new Blob([data]));
      h("a", { href, download: file }).click();
      setTimeout(() => URL.revokeObjectURL(href), 10000);
    } catch (error) {
      message.fail(error);
    }
  }

  function scoreOf(score, part, title) {
    const share = Math.min(1, Math.max(0, part));
    return h("div", { class: "qv-score", title }, h("span", {}, score.toFixed(3)),
      h("div", { class: "qv-scorebar" }, h("div", { style: `width: ${100 * share}%` })));
  }

  function rowOf(row, { label, fused, rows }) {
    const { name, file } = row;
    const best = Math.max(1e-6, ...rows.map((other) => other.score));
    const key = (what) => ({ "data-key": `${label}-${name}-${what}` });
    const where = label && `, list ${label}`;
    const mark = (verdict, says) => iconButton(verdict, `${says}: ${file}${where}`,
      () => ask("mark", { panel: label, name, verdict }),
      { ...key(verdict), "aria-pressed": String(row.mark === verdict), title: says,
        class: `qv-${verdict}` });
    const picture = h("img", { class: "qv-picture", alt: "", "data-picture": name });
    if (pictures.get(name)) picture.src = pictures.get(name);
    const play = h("button", { type: "button", class: "qv-hear", "data-sound": `sound-${name}`,
      ...key("hear"), "aria-label": `Play ${file}${where}`, onclick: () => hear(row) },
    picture, h("span", { class: "qv-disc" }, icon("play"), icon("pause")));
    const about = h("div", { class: "qv-about" },
      h("strong", { title: name }, file),
      h("span", { class: "qv-muted" },
        row.class ? h("span", { class: "qv-class" }, row.class) : null,
        duration(row.seconds)),
      h("span", { class: "qv-path", title: row.path }, h("bdi", {}, row.path)));
    const score = row.score === null // it would tell the systems apart
      ? h("div", { class: "qv-score", title: "Hidden until you choose" })
      : scoreOf(row.score, fused ? row.score / best : row.score, fused ? FUSED : COSINE);
    const similar = iconButton("similar", `More like ${file}${where}`,
      () => ask("similar", { name }), { ...key("similar"), title: "More like this" });
    const save = iconButton("download", `Download ${file}${where}`, () => download(row),
      { ...key("download"), title: "Download" });
    const actions = [similar, save, mark("right", "This is it"), mark("wrong", "Not this")];
    return h("li", { class: "qv-result", "data-mark": row.mark ?? "" },
      h("span", { class: "qv-rank" }, String(row.rank)), play, about, score,
      h("div", { class: "qv-actions" }, actions));
  }

  function panelOf(panel) {
    const title = panel.label && h("h4", { class: "qv-panel-title" }, `${panel.label} · `,
      panel.system ?? h("em", {}, "hidden until you choose"));
    return h("div", { class: "qv-panel" }, title || null,
      h("ol", { class: "qv-results", "aria-label": `Results ${panel.label}`.trim() },
        panel.rows.map((row) => rowOf(row, panel))));
  }

  function show() {
    const results = model.get("_results");
    const { panels: lists } = results;
    const shown = lists.some((panel) => panel.rows.length);
    // A filter that nothing passes leaves the page as high as it is.
    const { height } = panels.getBoundingClientRect();
    panels.style.minHeight = lists.length && !shown ? `${height}px` : "";
    keepingFocus(panels, () => panels.replaceChildren(...lists.map(panelOf)));
    panels.dataset.count = String(lists.length);
    const since = sinceStop(results);
    summary.textContent = results.text + (since ? `, ${since} after the sound ended` : "");
    judge.textContent = results.judge;
    judge.hidden = !results.judge;
    keep.checked = model.get("_keep_audio");
    none.setAttribute("aria-pressed", String(Boolean(results.none)));
    keeping.hidden = none.hidden = !shown;
    // The last page hides the button that asked for it; its first new row takes the focus.
    const rows = panels.firstElementChild?.querySelectorAll(".qv-hear") ?? [];
    if (document.activeElement === more && !results.more) rows[rowsBefore]?.focus();
    more.hidden = !results.more;
    rowsBefore = rows.length;
    player.show();
    fetchPictures(lists);
  }

  async function fetchPictures(lists) {
    const names = new Set(lists.flatMap((panel) => panel.rows.map((row) => row.name)));
    const missing = [...names].filter((name) => !pictures.has(name));
    if (!missing.length) return;
    for (const name of missing) pictures.set(name, ""); // asked for
    const answer = await link.ask("pictures", { names: missing }).catch(() => ({ pictures: {} }));
    for (const [name, source] of Object.entries(answer.pictures)) pictures.set(name, source);
    for (const image of panels.querySelectorAll("[data-picture]")) {
      const source = pictures.get(image.dataset.picture);
      if (source && image.src !== source) image.src = source;
    }
  }

  const forget = () => (pictures.clear(), show()); // another library may have the same names
  const close = watch(model, { _results: show, _keep_audio: show, _library: forget });
  show();
  const element = h("section", { class: "qv-found", "aria-label": "Results" },
    h("div", { class: "qv-row" }, summary, h("span", { class: "qv-spring" }), keeping, none),
    judge, panels, h("div", { class: "qv-row qv-more" }, more));
  return { element, close };
}

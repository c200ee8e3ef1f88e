// What is searched: the library, its index, the systems, and the filter before ranking.
import { button, h, icon, isOff, keepingFocus, labelled, turnOff, uniqueId, watch }
  from "./dom.js";

const FOLDER = "folder"; // the choice that needs a path

export function libraryPanel({ model, ask }) {
  const choice = h("select", { class: "qv-select" });
  const folder = h("input", { type: "text", class: "qv-input", spellcheck: "false",
    placeholder: "/home/me/sounds", "aria-label": "Folder of sounds" });
  const open = h("form", { class: "qv-row qv-folder", hidden: true },
    folder, button({ type: "submit" }, "Open"));
  const first = h("select", { class: "qv-select" });
  const second = h("select", { class: "qv-select" });
  const blind = h("input", { type: "checkbox", id: uniqueId("blind") });
  const hide = h("span", { class: "qv-check" },
    blind, h("label", { for: blind.id }, "hide which is which"));
  const state = h("span", { class: "qv-state", role: "status" });
  const again = button({
    title: "Look for new, changed and deleted sounds; only those are indexed anew",
  }, icon("again"), h("span"));
  const bar = h("progress", { class: "qv-progress", "aria-label": "Indexing" });

  const sendSystems = async () => {
    const [before] = model.get("_systems").chosen;
    const other = second.value === first.value ? before : second.value; // they change places
    await ask("systems",
      { systems: [first.value, other].filter(Boolean), blind: blind.checked });
    show(); // what was refused is not so
  };
  choice.onchange = () => {
    open.hidden = choice.value !== FOLDER;
    if (open.hidden) ask("library", { name: choice.value });
    else folder.focus();
  };
  open.onsubmit = (event) => {
    event.preventDefault();
    if (folder.value.trim()) ask("library", { name: FOLDER, folder: folder.value.trim() });
  };
  first.onchange = second.onchange = sendSystems;
  blind.onchange = sendSystems;
  again.onclick = () => isOff(again) || ask("reindex");

  const options = (names) => names.map(([value, label]) => h("option", { value }, label));

  function show() {
    const library = model.get("_library");
    choice.replaceChildren(...options([...library.choices, [FOLDER, "a folder …"]]));
    choice.value = library.name;
    open.hidden = library.name !== FOLDER;
    if (document.activeElement !== folder) folder.value = library.folder;
    const systems = model.get("_systems");
    first.replaceChildren(...options(systems.choices));
    second.replaceChildren(h("option", { value: "" }, "nothing"),
      ...options(systems.choices.filter(([name]) => name !== systems.chosen[0])));
    [first.value, second.value] = [systems.chosen[0], systems.chosen[1] ?? ""];
    blind.checked = systems.blind;
    hide.hidden = systems.chosen.length < 2;
    showIndex();
  }

  function showIndex() {
    const index = model.get("_index");
    const busy = index.phase === "indexing";
    const failed = index.phase === "failed";
    // The first of the warnings in sight, the others where one points at it.
    const [warning] = failed ? [] : index.warning.split("\n").filter(Boolean);
    state.textContent = warning ? `${index.text}. ${warning}` : index.text;
    state.dataset.kind = failed ? "error" : index.warning ? "warning" : "plain";
    state.title = index.warning;
    again.lastChild.textContent = failed ? "Try again" : "Re-index";
    turnOff(again, busy);
    bar.style.visibility = busy ? "visible" : "hidden"; // its place stays: nothing jumps
    if (busy && index.total) [bar.max, bar.value] = [index.total, index.done];
    else bar.removeAttribute("value");
  }

  const close = watch(model, { _library: show, _systems: show, _index: showIndex });
  show();
  const element = h("section", { class: "qv-library", "aria-label": "Library" },
    h("div", { class: "qv-row" }, labelled("Search in", choice), open,
      labelled("with", first), labelled("compare", second), hide),
    h("div", { class: "qv-row" }, state, again), bar);
  return { element, close };
}

export function filterPanel({ model, ask }) {
  const text = h("input", { type: "search", class: "qv-input", placeholder: "all names",
    spellcheck: "false" });
  const clear = button({}, "All classes");
  const chips = h("div", { class: "qv-classes", role: "group", "aria-label": "Classes" });
  let wanted = model.get("_filter"); // ahead of Python's while a wish is on its way
  let wishes = 0;
  let waiting; // one search for a word, not one for each letter
  const send = async (change) => {
    clearTimeout(waiting);
    wanted = { ...wanted, text: text.value, ...change };
    show();
    wishes += 1;
    await ask("filter", wanted);
    wishes -= 1;
    answered();
  };
  text.oninput = () => {
    clearTimeout(waiting);
    waiting = setTimeout(send, 250);
  };
  clear.onclick = () => isOff(clear) || send({ classes: [] });
  const answered = () => {
    if (wishes) return;
    wanted = model.get("_filter");
    if (document.activeElement !== text) text.value = wanted.text;
    show();
  };

  function show() {
    const { classes } = wanted;
    const known = model.get("_index").classes;
    element.hidden = !known.length && !text.value;
    turnOff(clear, !classes.length);
    clear.hidden = known.length < 2;
    keepingFocus(chips, () => chips.replaceChildren(...(known.length < 2 ? [] : known)
      .map(([name, count]) => {
        const on = classes.includes(name);
        const others = classes.filter((other) => other !== name);
        return h("button", { type: "button", class: "qv-chip", "aria-pressed": String(on),
          "data-key": `class-${name}`,
          onclick: () => send({ classes: on ? others : [...classes, name] }) },
        name || "no class", " ", h("small", {}, String(count)));
      })));
  }

  let shown = null; // progress changes the index many times a second, its classes seldom
  const ifClasses = () => {
    const known = JSON.stringify(model.get("_index").classes);
    if (known !== shown) show();
    shown = known;
  };
  const element = h("section", { class: "qv-filter", "aria-label": "Filter" },
    h("div", { class: "qv-row" }, labelled("Names with", text), clear), chips);
  const close = watch(model, { _filter: answered, _index: ifClasses });
  answered();
  return { element, close };
}

// What one types: words for the systems that read them, alone or together with the voice.
import { button, h, icon, labelled, uniqueId, watch } from "./dom.js";

// onask(): called the moment words are sent.
export function wordsPanel({ model, ask, onask }) {
  const hint = h("span", { class: "qv-muted", id: uniqueId("hint") });
  const text = h("input", { type: "search", class: "qv-input", maxlength: "500",
    autocomplete: "off", "aria-describedby": hint.id });
  const search = button({ type: "submit" }, icon("search"), "Search");
  const both = h("input", { type: "checkbox", id: uniqueId("both") });
  const together = h("span", { class: "qv-check" },
    both, h("label", { for: both.id }, "together with the voice"));

  const send = () => {
    onask();
    ask("words", { text: text.value, together: both.checked });
  };
  text.oninput = () => text.value || !model.get("_words").text || send(); // it was cleared
  both.onchange = send;

  function show() {
    const words = model.get("_words");
    const able = !words.hint;
    text.disabled = !able;
    text.placeholder = able ? "a small dog barks twice" : "";
    search.hidden = together.hidden = !able;
    hint.textContent = words.hint;
    hint.hidden = able;
    both.checked = words.together;
    if (document.activeElement !== text) text.value = words.text;
  }

  const close = watch(model, { _words: show });
  show();
  const onsubmit = (event) => (event.preventDefault(), send());
  const element = h("form", { class: "qv-row qv-words", "aria-label": "Words", onsubmit },
    labelled("In words", text), search, together, hint);
  return { element, close };
}

// The frame of a widget: theme, keys of its own, one player, one message line.
import { Player } from "./audio.js";
import { connect, followTheme, h, messageLine } from "./dom.js";

const OWN_KEYS = "data-lm-suppress-shortcuts"; // what the notebook's commands look for

// The notebook's one-letter commands would add and cut cells while someone uses the widget; to
// save is let through. Notebook 7 decides before any element hears of the key, and asks the
// element in focus first: so this listens on the window, and marks that element, too.
function keepKeys(root) {
  const isSave = (event) => (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
  const decide = (event) => {
    const [inFocus] = event.composedPath();
    if (!root.contains(inFocus)) return;
    for (const element of [root, inFocus]) element.toggleAttribute(OWN_KEYS, !isSave(event));
  };
  const hold = (event) => isSave(event) || event.stopPropagation();
  for (const kind of ["keydown", "keypress"]) root.addEventListener(kind, hold);
  window.addEventListener("keydown", decide, true);
  return () => window.removeEventListener("keydown", decide, true);
}

// build({ root, model, link, message, player }) returns { elements, redraw, close }.
export function frame(el, model, build) {
  const root = h("div", { class: "qvim", [OWN_KEYS]: "" });
  const unkeep = keepKeys(root);
  el.append(root);
  const link = connect(model);
  const message = messageLine();
  const player = new Player(root, message.fail);
  const { elements, redraw, close } = build({ root, model, link, message, player });
  root.append(...elements);
  const unfollow = followTheme(root, redraw);
  return () => (player.stop(), close(), link.close(), unfollow(), unkeep());
}

// The frame of a widget: theme, keys of its own, one player, one message line.
import { Player } from "./audio.js";
import { connect, followTheme, h, messageLine } from "./dom.js";

// build({ root, model, link, message, player }) returns { elements, redraw, close }.
export function frame(el, model, build) {
  const root = h("div", { class: "qvim", "data-lm-suppress-shortcuts": "true" });
  // JupyterLab's keys would add and delete cells while someone moves a trim handle.
  root.addEventListener("keydown", (event) => event.stopPropagation());
  el.append(root);
  const link = connect(model);
  const message = messageLine();
  const player = new Player(root, message.fail);
  const { elements, redraw, close } = build({ root, model, link, message, player });
  root.append(...elements);
  const unfollow = followTheme(root, redraw);
  return () => (player.stop(), close(), link.close(), unfollow());
}

// The keyboard: "/" looks for something, j and k or the arrows go through the cards, a letter does what its button does.
import { actions } from "./list.js";

const LETTERS = { r: "restore", e: "edit", p: "pin", c: "compare", x: "select", " ": "select", Enter: "notes", Delete: "delete" };
const list = document.getElementById("list");

function isTyping(node) {
  return node.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
}

function go(step) {
  const cards = [...list.querySelectorAll(".card")];
  const now = cards.indexOf(document.activeElement.closest(".card"));
  const next = cards[now < 0 ? 0 : Math.max(0, Math.min(cards.length - 1, now + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (!list || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && event.target.id === "search") {
    event.target.blur();
    return;
  }
  if (isTyping(event.target)) return;
  const card = event.target.classList.contains("card") ? event.target : null;
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search").focus();
  } else if (event.key === "j" || (event.key === "ArrowDown" && card)) {
    event.preventDefault();
    go(1);
  } else if (event.key === "k" || (event.key === "ArrowUp" && card)) {
    event.preventDefault();
    go(-1);
  } else if (card && LETTERS[event.key] && !("deleted" in card.dataset)) {
    event.preventDefault();
    actions[LETTERS[event.key]](card);
  }
});

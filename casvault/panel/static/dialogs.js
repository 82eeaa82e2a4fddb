// Dialogs: opened with what the server made, closed by Esc, by a button or beside them; the focus goes back to where it
// came from.
import { note, put } from "./notes.js";

const dialog = document.getElementById("dialog");
const picture = document.getElementById("picture-dialog");
let opener = null;

function remember() {
  const from = document.activeElement;
  if (!dialog.contains(from)) opener = { node: from, card: from?.closest("[data-id]")?.id, action: from?.dataset?.action };
}

function giveBack() {
  const { node, card, action } = opener ?? {};
  const place = node?.isConnected && node !== document.body ? node
    : document.querySelector(card ? `[id="${card}"] [data-action="${action}"], [id="${card}"]` : null || "#main");
  (place ?? document.getElementById("main")).focus({ preventScroll: true });
  opener = null;
}

export function openDialog() {
  if (!dialog.open) {
    remember();
    dialog.showModal();
  }
  const first = dialog.querySelector("[autofocus]") ?? dialog.querySelector("input, button");
  first?.focus();
}

export function closeDialog() {
  if (dialog.open) dialog.close();
}

export function ask(path) {
  remember();
  return htmx.ajax("GET", path, { target: "#dialog", swap: "innerHTML" });
}

function isDirty() {
  return [...dialog.querySelectorAll("input.input, textarea")].some((field) => field.value !== field.defaultValue);
}

dialog.addEventListener("close", () => {
  const follows = dialog.querySelector("[data-follows]")?.dataset.follows;
  dialog.replaceChildren();
  giveBack();
  if (follows) document.dispatchEvent(new CustomEvent("casvault:left", { detail: { id: follows } }));
});

for (const one of [dialog, picture]) {
  one.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]") || (event.target === one && !isDirty())) one.close();
  });
}
picture.addEventListener("close", () => giveBack());

document.addEventListener("click", (event) => {
  const shown = event.target.closest("[data-picture]");
  if (!shown) return;
  if (!dialog.open) remember();
  picture.querySelector("img").src = shown.dataset.picture;
  picture.querySelector("img").alt = shown.getAttribute("aria-label") ?? "";
  picture.showModal();
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target !== dialog) return;
  const done = dialog.querySelector("[data-done]");
  if (done) {
    done.remove();
    put(done, { text: done.querySelector("p").textContent });
    closeDialog();
    return;
  }
  openDialog();
  const follows = dialog.querySelector("[data-follows]")?.dataset.follows;
  if (follows) document.dispatchEvent(new CustomEvent("casvault:follow", { detail: { id: follows } }));
});

// What is refused is told above the form, which stays as it was; elsewhere in the corner.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status < 400) return;
  const slot = event.detail.target === dialog && dialog.open ? dialog.querySelector("[data-trouble]") : null;
  if (slot) {
    Object.assign(event.detail, { shouldSwap: true, isError: false, target: slot, swapOverride: "innerHTML" });
    slot.scrollIntoView({ block: "nearest" });
    return;
  }
  const told = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html").body.textContent.trim();
  note(told || `The panel answered ${event.detail.xhr.status}.`, { bad: true });
  event.detail.shouldSwap = false;
});
document.addEventListener("htmx:sendError", () => note("The panel does not answer.", { bad: true }));

// Notes in the corner of the page, and what is said to those who do not see it.
const corner = () => document.getElementById("notes");
const SHORT = 8000;

export function say(text) {
  const spoken = document.getElementById("spoken");
  spoken.textContent = "";
  // A region is read out when it changes, also to the same words.
  requestAnimationFrame(() => { spoken.textContent = text; });
}

export function note(text, { bad = false, stays = false } = {}) {
  const toast = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
  toast.querySelector("p").textContent = text;
  toast.classList.toggle("toast-bad", bad);
  if (bad) toast.querySelector("use").setAttribute("href", "#i-bad");
  return put(toast, { stays: stays || bad, text });
}

// Puts an element that the server made into the corner; one with something to press stays until it is dismissed.
export function put(toast, { stays = false, text = "" } = {}) {
  corner().append(toast);
  htmx.process(toast);
  if (text) say(text);
  const pressable = toast.querySelector("button:not([data-dismiss])");
  if (!stays && !pressable) fade(toast);
  return toast;
}

function fade(toast) {
  let timer = setTimeout(() => toast.remove(), SHORT);
  for (const type of ["pointerenter", "focusin"]) toast.addEventListener(type, () => clearTimeout(timer));
  for (const type of ["pointerleave", "focusout"]) toast.addEventListener(type, () => { timer = setTimeout(() => toast.remove(), SHORT / 2); });
}

export function element(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

export async function get(path, options = {}) {
  return ask(path, { ...options, method: "GET" });
}

export async function post(path, body = {}) {
  return ask(path, { method: "POST", body: JSON.stringify(body) });
}

// Returns what the server answers, null where it refuses; why is told in the corner then.
async function ask(path, options) {
  try {
    const answer = await fetch(path, { ...options, headers: { "HX-Request": "true", "Content-Type": "application/json" } });
    const text = await answer.text();
    if (answer.ok) return text;
    note(element(text)?.textContent.trim() || `The panel answered ${answer.status}.`, { bad: true });
  } catch (error) {
    if (error.name !== "AbortError") note("The panel does not answer.", { bad: true });
  }
  return null;
}

// Sends a change, and shows the note that answers it.
export async function change(path, body = {}) {
  const html = await post(path, body);
  if (html === null) return false;
  const made = element(html);
  if (made) put(made, { text: made.querySelector("p")?.textContent ?? "" });
  return true;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dismiss], [data-undelete]");
  if (!button) return;
  if (button.dataset.undelete) change("/snapshots/undelete", { ids: button.dataset.undelete.split(" ") });
  const toast = button.closest(".toast");
  const next = toast.nextElementSibling ?? toast.previousElementSibling;
  toast.remove();
  (next?.querySelector("button") ?? document.getElementById("main")).focus({ preventScroll: true });
});

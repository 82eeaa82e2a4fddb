// The live models: looked at anew when a file of one, a snapshot or a watch changes, and now and then for the trainer.
import { hear } from "./events.js";
import { change, get } from "./notes.js";

const place = document.getElementById("live");
const OFTEN = 300;
const SELDOM = 10000;
let timer = 0;
let last = "";

// Without the ages, which change all the time.
const essence = (html) => html.replace(/(<time[^>]*>)[^<]*/g, "$1");

function key(node) {
  for (const name of ["data-watch", "hx-get", "data-find", "data-picture"]) {
    if (node.hasAttribute(name)) return `[${name}="${CSS.escape(node.getAttribute(name))}"]`;
  }
  return null;
}

async function refresh() {
  const html = await get("/parts/live");
  if (html === null || essence(html) === last) return;
  last = essence(html);
  const focused = place.contains(document.activeElement) ? key(document.activeElement) : null;
  place.innerHTML = html;
  htmx.process(place);
  if (focused) place.querySelector(focused)?.focus({ preventScroll: true });
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, OFTEN);
}

if (place) {
  hear(["vault", "live", "watch", "jobs"], soon);
  setInterval(() => { if (!document.hidden) refresh(); }, SELDOM);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  place.addEventListener("change", async (event) => {
    const box = event.target.closest("[data-watch]");
    if (box && !(await change(`/models/${box.dataset.watch}/watch`, { on: box.checked }))) box.checked = !box.checked;
  });
}

// The first page has no live models: it goes when there is a vault.
if (document.querySelector("[data-first]")) {
  const go = () => { if (!document.querySelector("dialog[open]")) location.reload(); };
  hear(["vault", "jobs"], () => setTimeout(go, 1200));
  document.getElementById("dialog").addEventListener("close", async () => {
    const html = await get("/parts/list");
    if (html !== null) location.reload();
  });
}

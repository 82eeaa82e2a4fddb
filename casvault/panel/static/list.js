// The list of snapshots: filters, what deleting frees, selection, and what each card can do.
//
// When something changed, cards that are as they were stay the very same elements: so what is open, selected or in focus
// stays so, and a thousand cards cost nothing.
import { ask } from "./dialogs.js";
import { hear } from "./events.js";
import { change, get, say } from "./notes.js";
import { tick } from "./times.js";

const list = document.getElementById("list");
const filters = document.getElementById("filters");
const bar = document.getElementById("selection");
const PAUSE = 180;
const PAGE = 50;
const ALL = 2000;
const chosen = new Set();
let frees = {};
let asking = null;
let timer = 0;
let lastTicked = null;
let filling = false;

const cards = () => [...list.querySelectorAll(".card")];
const cardOf = (node) => node?.closest?.(".card");

function query() {
  const told = new URLSearchParams();
  for (const [name, value] of new FormData(filters)) if (value) told.set(name, value);
  return told;
}

async function load(count) {
  asking?.abort();
  asking = new AbortController();
  const told = query();
  told.set("count", count);
  const html = await get(`/parts/list?${told}`, { signal: asking.signal });
  if (html === null) return false;
  reconcile(html);
  return true;
}

function reconcile(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const have = new Map([...list.children].map((node) => [node.id, node]));
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const card = cardOf(focused);
  const place = card ? cards().indexOf(card) : -1;
  let at = list.firstElementChild;
  for (const next of [...template.content.children]) {
    const old = have.get(next.id);
    have.delete(next.id);
    if (old && old.dataset.stamp === next.dataset.stamp && !next.hasAttribute("hx-get")) {
      if (old === at) at = at.nextElementSibling;
      else list.insertBefore(old, at);
      continue;
    }
    if (old) {
      carry(old, next);
      if (old === at) at = at.nextElementSibling;
      old.remove();
    }
    list.insertBefore(next, at);
    htmx.process(next);
  }
  for (const node of have.values()) node.remove();
  if (focused && !focused.isConnected) refocus(card, focused, place);
  fill();
}

function carry(old, next) {
  const notes = next.querySelector(".notes");
  if (notes && old.querySelector(".notes")?.open) notes.open = true;
}

function refocus(card, focused, place) {
  const next = card && document.getElementById(card.id);
  const target = next
    ? (focused.dataset.action && next.querySelector(`[data-action="${focused.dataset.action}"]`)) || next
    : cards()[Math.min(place, cards().length - 1)];
  (target ?? document.getElementById("search")).focus({ preventScroll: true });
}

// What is not in the page itself: what deleting frees, what is selected, ages.
function fill() {
  for (const node of list.querySelectorAll("[data-frees]")) {
    const text = frees[node.dataset.frees];
    if (text && node.textContent !== ` · ${text}`) node.textContent = ` · ${text}`;
  }
  const there = new Set(cards().map((card) => card.dataset.id));
  for (const id of [...chosen]) if (!there.has(id)) chosen.delete(id);
  for (const card of cards()) {
    const box = card.querySelector(".card-check");
    if (box) box.checked = chosen.has(card.dataset.id);
  }
  showChosen();
  tick(list);
}

// htmx tells of each card that came, fifty at a time: once is enough for all of them.
function fillOnce() {
  if (filling) return;
  filling = true;
  queueMicrotask(() => { filling = false; fill(); });
}

async function count() {
  try {
    const answer = await fetch("/parts/frees", { headers: { "HX-Request": "true" } });
    if (!answer.ok) return;
    const told = await answer.json();
    frees = told.frees;
    for (const node of document.querySelectorAll("[data-vault-size]")) node.textContent = told.vault;
    fill();
  } catch {
    // The figures are left out until the next change.
  }
}

function showChosen() {
  bar.hidden = chosen.size === 0;
  bar.querySelector("[data-count]").textContent = `${chosen.size} selected`;
  bar.querySelector("[data-selection=compare]").hidden = chosen.size !== 2;
}

function choose(card, on) {
  if (!card.querySelector(".card-check")) return;
  if (on) chosen.add(card.dataset.id);
  else chosen.delete(card.dataset.id);
  card.querySelector(".card-check").checked = on;
  lastTicked = card;
  showChosen();
}

export async function find(id) {
  let card = document.getElementById(`snapshot-${id}`);
  if (!card) {
    filters.reset();
    for (const select of filters.querySelectorAll("select")) select.value = "";
    filters.querySelector("[name=q]").value = "";
    await load(ALL);
    card = document.getElementById(`snapshot-${id}`);
  }
  if (!card) return;
  for (const other of list.querySelectorAll(".is-found")) other.classList.remove("is-found");
  card.classList.add("is-found");
  card.scrollIntoView({ block: "center" });
  card.focus({ preventScroll: true });
}

export const actions = {
  restore: (card) => ask(`/dialogs/restore/${card.dataset.id}`),
  edit: (card) => ask(`/dialogs/edit/${card.dataset.id}`),
  delete: (card) => ask(`/dialogs/delete?id=${card.dataset.id}`),
  undelete: (card) => change("/snapshots/undelete", { ids: [card.dataset.id] }),
  pin: (card) => change(`/snapshots/${card.dataset.id}/pin`, { pinned: !("pinned" in card.dataset) }),
  compare: (card) => { location.href = `/compare?a=${card.dataset.id}`; },
  select: (card) => choose(card, !chosen.has(card.dataset.id)),
  notes: (card) => { const notes = card.querySelector(".notes"); if (notes) notes.open = !notes.open; },
};

function begin() {
  list.addEventListener("click", (event) => {
    const action = event.target.closest("[data-action]")?.dataset.action;
    if (!action || action === "compare") return;
    actions[action](cardOf(event.target));
  });
  list.addEventListener("click", (event) => {
    const box = event.target.closest(".card-check");
    if (!box) return;
    const card = cardOf(box);
    const all = cards();
    if (event.shiftKey && lastTicked?.isConnected) {
      const [from, to] = [all.indexOf(lastTicked), all.indexOf(card)].sort((a, b) => a - b);
      for (const one of all.slice(from, to + 1)) choose(one, box.checked);
    } else {
      choose(card, box.checked);
    }
  });
  bar.addEventListener("click", (event) => {
    const what = event.target.closest("[data-selection]")?.dataset.selection;
    const ids = [...chosen];
    if (what === "delete") ask(`/dialogs/delete?${ids.map((id) => `id=${id}`).join("&")}`);
    if (what === "compare") location.href = `/compare?a=${ids.sort()[0]}&b=${ids.sort()[1]}`;
    if (what === "none") {
      chosen.clear();
      fill();
      (lastTicked ?? document.getElementById("search")).focus({ preventScroll: true });
    }
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const told = query().toString();
      history.replaceState(null, "", told ? `/?${told}` : "/");
      if (await load(PAGE)) say(list.querySelector(".empty h3")?.textContent ?? `${cards().length} snapshots shown`);
    }, PAUSE);
  });
  let pending = 0;
  hear(["vault"], () => {
    clearTimeout(pending);
    pending = setTimeout(async () => {
      await load(Math.min(ALL, Math.max(PAGE, cards().length + 1)));
      count();
    }, PAUSE);
  });
  document.addEventListener("htmx:afterSettle", fillOnce);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-find]");
    if (!link) return;
    event.preventDefault();
    find(link.dataset.find);
  });
  count();
  const wanted = new URLSearchParams(location.search).get("find") ?? location.hash.replace(/^#snapshot-/, "");
  if (/^[0-9TZ.\-a-f]+$/.test(wanted)) find(wanted);
}

if (list) begin();

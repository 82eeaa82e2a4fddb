// The page of the storage: which snapshots are selected, what they free together, and when pruning can be pressed.
import { ask } from "./dialogs.js";
import { post } from "./notes.js";
import { tick } from "./times.js";

const rows = document.getElementById("rows");
const bar = document.getElementById("together");
const chosen = new Set();
let turn = 0;

async function tell() {
  const ids = [...chosen];
  const mine = ++turn;
  if (!ids.length) {
    bar.hidden = true;
    bar.replaceChildren();
    return;
  }
  const html = await post("/storage/together", { ids });
  if (html === null || mine !== turn) return;
  bar.innerHTML = html;
  bar.hidden = false;
}

function mark() {
  const there = new Set();
  for (const box of rows.querySelectorAll("tbody .check")) {
    there.add(box.value);
    box.checked = chosen.has(box.value);
  }
  // What is not shown any more is not selected: nobody would know.
  for (const id of chosen) if (!there.has(id)) chosen.delete(id);
  tick(rows);
  tell();
}

rows?.addEventListener("change", (event) => {
  const box = event.target.closest("tbody .check");
  if (!box) return;
  if (box.checked) chosen.add(box.value);
  else chosen.delete(box.value);
  tell();
});
bar?.addEventListener("click", (event) => {
  const what = event.target.closest("[data-together]")?.dataset.together;
  if (!what) return;
  if (what === "none") {
    chosen.clear();
    mark();
    return;
  }
  ask(`/dialogs/${what}?${[...chosen].map((id) => `id=${encodeURIComponent(id)}`).join("&")}`);
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target === rows) mark();
  if (event.detail.target.id === "prune-plan") {
    document.getElementById("prune-go").disabled = !(Number(event.detail.target.querySelector("[data-goes]")?.dataset.goes) > 0);
  }
});

// What is under way: shown in the dialog that began it or in the corner, kept up with its events, and how it ended.
import { closeDialog } from "./dialogs.js";
import { hear } from "./events.js";
import { element, get, post, put, say } from "./notes.js";

const ended = new Set();
const asked = new Set();
const dialog = document.getElementById("dialog");

const shown = (id) => [...document.querySelectorAll(`[data-job="${CSS.escape(id)}"]`)];
const isFollowed = (id) => dialog.querySelector("[data-follows]")?.dataset.follows === id;

function update(node, job) {
  const bar = node.querySelector("progress");
  if (job.total) {
    bar.max = job.total;
    bar.value = Math.min(job.done, job.total);
  } else {
    bar.removeAttribute("value");
  }
  const waits = job.messages.at(-1);
  node.querySelector("[data-task]").textContent = job.stopping ? "stopping ..." : (waits ?? job.task ?? "starting");
  node.querySelector("[data-told]").textContent = job.progress;
}

async function show(id) {
  if (asked.has(id) || ended.has(id)) return;
  asked.add(id);
  const html = await get(`/parts/jobs/${id}`);
  asked.delete(id);
  const made = html === null ? null : element(html);
  if (!made || shown(id).length || ended.has(id)) return;
  if (made.dataset.ended) finish(id, made);
  else put(made, { stays: true });
}

async function end(id) {
  if (ended.has(id)) return;
  const html = await get(`/parts/jobs/${id}`);
  const made = html === null ? null : element(html);
  if (made?.dataset.ended) finish(id, made);
}

function finish(id, made) {
  if (ended.has(id)) return;
  ended.add(id);
  const followed = isFollowed(id);
  for (const node of shown(id)) node.closest(".toast")?.remove();
  if (followed && made.dataset.ended === "failed") {
    const notice = dialog.querySelector(".dialog-body");
    const box = document.createElement("div");
    box.className = "notice notice-bad";
    box.setAttribute("role", "alert");
    box.append(made.querySelector(".icon"), made.querySelector(".grow"));
    notice.replaceChildren(box);
    dialog.querySelector("[data-cancel]")?.remove();
    dialog.querySelector(".dialog-foot .grow")?.remove();
    dialog.querySelector("[data-follows]").removeAttribute("data-follows");
    return;
  }
  if (followed) {
    dialog.querySelector("[data-follows]").removeAttribute("data-follows");
    closeDialog();
  }
  put(made, { text: made.dataset.said, stays: made.dataset.ended === "failed" });
}

hear(["job"], (job) => {
  if (job.state !== "running") {
    end(job.id);
    return;
  }
  const nodes = shown(job.id);
  for (const node of nodes) update(node, job);
  if (!nodes.length) show(job.id);
});
// One that ended before the dialog was there has no event any more.
hear(["follow"], ({ id }) => end(id));
hear(["left"], ({ id }) => show(id));

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-cancel]");
  if (!button) return;
  button.disabled = true;
  say("Stopping");
  post(`/parts/jobs/${button.dataset.cancel}/cancel`);
});

const html = await get("/parts/jobs");
if (html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const made of [...template.content.children]) {
    if (!shown(made.querySelector("[data-job]").dataset.job).length) put(made, { stays: true });
  }
}

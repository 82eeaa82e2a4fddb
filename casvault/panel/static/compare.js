// The page of the comparison: asks for what differs, follows the job that finds it out, and draws the losses between.
import { excuse, key, losses, sentence } from "./figures.js";
import { hear } from "./events.js";
import { LossChart } from "./losses.js";
import { get, post } from "./notes.js";

const tools = document.getElementById("compare-tools");
const place = document.getElementById("differences");

tools?.addEventListener("change", () => {
  const { a, b } = tools.elements;
  if (a.value && b.value) tools.requestSubmit();
});
document.getElementById("swap")?.addEventListener("click", () => {
  const { a, b } = tools.elements;
  [a.value, b.value] = [b.value, a.value];
  tools.requestSubmit();
});

function put(html) {
  if (html === null) return;
  place.innerHTML = html;
  htmx.process(place);
  const waits = place.querySelector("[data-waits]")?.dataset.waits;
  // One that ended before it was shown has no event any more.
  if (waits) setTimeout(() => look(waits), 250);
}

async function look(id) {
  if (place.querySelector("[data-waits]")?.dataset.waits !== id) return;
  const html = await get(`/compare/differences/${id}`);
  if (html !== null && !html.includes("data-waits=")) put(html);
}

async function begin() {
  put(await post("/compare/differences", { a: place.dataset.a, b: place.dataset.b }));
}

hear(["job"], (job) => { if (job.state !== "running") look(job.id); });
place?.addEventListener("click", (event) => {
  if (event.target.closest("[data-again]")) begin();
  const more = event.target.closest("[data-more]");
  if (!more) return;
  const rows = more.closest(".panel").querySelector(".more-rows");
  rows.hidden = !rows.hidden;
  more.setAttribute("aria-expanded", String(!rows.hidden));
  more.textContent = rows.hidden ? `Show ${rows.rows.length} more` : "Show fewer";
});
if (place && "missing" in place.dataset) begin();

/** The losses from a little before the first of the two to a little after the second, if there is a history. */
async function between(box) {
  const { of, a, b } = box.dataset;
  const part = [null, null];
  const chart = new LossChart(box, {
    label: "Losses between the two",
    height: (width) => (width < 560 ? 220 : 260),
    href: (id) => `/#snapshot-${id}`,
    choose: (low, high) => {
      part[0] = low === null ? null : Math.max(1, Math.round(low));
      part[1] = high === null ? null : Math.max(part[0] + 10, Math.round(high));
      load();
    },
  });
  async function load(first = false) {
    const query = new URLSearchParams({ points: Math.min(2000, Math.max(200, box.clientWidth)) });
    if (part[0] !== null) query.set("first", part[0]);
    if (part[1] !== null) query.set("last", part[1]);
    try {
      const history = await losses(of, query);
      if (history.reason) {
        excuse(box, `${sentence(history.reason)} What snapshots tell of losses is above.`);
        return;
      }
      const places = history.marks.filter((mark) => [a, b].includes(mark.id) && mark.iteration != null).map((mark) => mark.iteration);
      if (first && places.length) {
        const [low, high] = [Math.min(...places), places.length > 1 ? Math.max(...places) : history.last];
        const room = Math.max(100, (high - low) * 0.25);
        part[0] = Math.max(history.first, Math.floor(low - room));
        part[1] = Math.min(history.last, Math.ceil(high + room));
        await load();
        return;
      }
      chart.show({ ...history, marks: history.marks.filter((mark) => [a, b].includes(mark.id)) }, {});
      const names = history.curves.map((curve, index) => key("line", `${curve.name} loss`, { series: String((index % 4) + 1), dashed: index % 2 }));
      document.getElementById("between-legend").replaceChildren(...names, key("mark", "The two"));
    } catch (error) {
      excuse(box, error.message, "i-warn");
    }
  }
  await load(true);
}

const box = document.getElementById("between");
if (box) between(box);

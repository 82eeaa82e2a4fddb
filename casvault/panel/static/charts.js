// The page of the charts: asks for the figures, draws them, and asks again when somebody looks closer or the vault
// changes. What is chosen stands in the address, so that it is there again when the page is loaded anew.

import { anchor, ask, excuse, key, link, losses, sentence, table, whole } from "./figures.js";
import { hear } from "./events.js";
import { LossChart, shown } from "./losses.js";
import { GrowthChart, bytes } from "./growth.js";

const byId = (id) => document.getElementById(id);

class Losses {
  constructor(box) {
    this.box = box;
    this.tools = byId("losses-tools");
    this.part = [null, null];
    this.recall();
    this.tools.addEventListener("change", (event) => {
      if (event.target.name === "of") this.part = [null, null];
      this.load(event.target.name === "scale" || event.target.name === "raw");
    });
    this.tools.addEventListener("submit", (event) => event.preventDefault());
    for (const button of this.tools.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => this.zoom(button.dataset.zoom));
    }
    hear(["vault", "live"], () => this.later());
    this.load();
  }

  get choice() {
    const form = new FormData(this.tools);
    return { of: form.get("of"), window: form.get("window"), log: form.get("scale") === "log", raw: form.has("raw") };
  }

  recall() {
    const kept = new URLSearchParams(location.search);
    const { of, window: smooth, scale, raw } = this.tools.elements;
    if (kept.has("of") && [...of.options].some((option) => option.value === kept.get("of"))) of.value = kept.get("of");
    if (kept.has("window") && [...smooth.options].some((option) => option.value === kept.get("window"))) smooth.value = kept.get("window");
    if (kept.get("scale") === "log") scale.value = "log";
    if (kept.get("raw") === "off") raw.checked = false;
    const part = ["first", "last"].map((name) => (kept.has(name) && /^\d{1,15}$/.test(kept.get(name)) ? Number(kept.get(name)) : null));
    this.part = part;
  }

  remember() {
    const { of, window: smooth, log, raw } = this.choice;
    const kept = new URLSearchParams({ of });
    if (smooth !== "100") kept.set("window", smooth);
    if (log) kept.set("scale", "log");
    if (!raw) kept.set("raw", "off");
    if (this.part[0] != null) kept.set("first", this.part[0]);
    if (this.part[1] != null) kept.set("last", this.part[1]);
    history.replaceState(null, "", `?${kept}`);
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), 800);
  }

  async load(known = false) {
    this.remember();
    if (known && this.history) {
      this.draw();
      return;
    }
    this.asked?.abort();
    this.asked = new AbortController();
    const { of, window: smooth } = this.choice;
    const points = Math.min(2000, Math.max(200, this.box.clientWidth));
    const query = new URLSearchParams({ window: smooth, points });
    if (this.part[0] != null) query.set("first", this.part[0]);
    if (this.part[1] != null) query.set("last", this.part[1]);
    try {
      this.history = await losses(of, query, this.asked.signal);
      this.draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.chart?.plot?.end();
      this.chart = null;
      excuse(this.box, error.message, "i-warn");
    }
  }

  draw() {
    const { history } = this;
    const known = history.marks.some((mark) => mark.loss && mark.iteration != null);
    byId("losses-told").textContent = summary(history);
    if (history.reason && !known) {
      this.chart?.plot?.end();
      this.chart = null;
      excuse(this.box, `${sentence(history.reason)} Where a snapshot is taken with --loss, it is drawn here.`);
    } else {
      this.chart ??= new LossChart(this.box, {
        label: `Losses of ${this.tools.elements.of.selectedOptions[0].text}`,
        choose: (low, high) => this.look(low, high),
        href: link,
      });
      this.chart.show(history, { ...this.choice, whole: this.part[0] == null && this.part[1] == null });
    }
    byId("losses-legend").replaceChildren(...legend(history));
    byId("losses-table").replaceChildren(...tables(history));
  }

  look(low, high) {
    const { first, last } = this.history;
    if (first == null) return;
    if (low == null || (low <= first && high >= last)) this.part = [null, null];
    else {
      const middle = (low + high) / 2;
      const half = Math.max(10, high - low) / 2;
      this.part = [Math.max(first, Math.round(middle - half)), Math.min(last, Math.round(middle + half))];
    }
    this.load();
  }

  zoom(way) {
    if (way === "all") this.look(null, null);
    else this.chart?.plot?.zoom(way === "in" ? 0.5 : 2);
  }
}

function summary(history) {
  const { curves, last, first } = history;
  if (!curves.length) return "";
  const parts = curves.map((curve) => {
    const known = curve.mean.map((value, at) => [value, history.iterations[at]]).filter(([value]) => value != null);
    if (!known.length) return `${curve.name} is not a number`;
    const [best, at] = known.reduce((least, each) => (each[0] < least[0] ? each : least));
    return `${curve.name} ${shown(known.at(-1)[0])}, lowest ${shown(best)} at ${whole.format(at)}`;
  });
  return `Iterations ${whole.format(first)} to ${whole.format(last)} · ${parts.join(" · ")}`;
}

function legend(history) {
  const names = history.curves.length ? history.curves.map((curve) => curve.name)
    : [...new Set(history.marks.flatMap((mark) => Object.keys(mark.loss ?? {})))].slice(0, 4);
  const items = names.map((name, index) => key("line", `${name} loss`, { series: String((index % 4) + 1), dashed: index % 2 }));
  if (history.marks.some((mark) => mark.on_curve)) items.push(key("mark", "Snapshot: click to find it"));
  if (history.marks.some((mark) => !mark.on_curve && mark.iteration != null)) {
    items.push(key("beside", history.curves.length ? "Snapshot of another line of training" : "Snapshot"));
  }
  return items;
}

function tables(history) {
  const made = [];
  const marks = history.marks.filter((mark) => mark.iteration != null);
  if (marks.length) {
    const names = [...new Set(marks.flatMap((mark) => Object.keys(mark.loss ?? {})))];
    made.push(table(
      ["Snapshot", "Iteration", ...names.map((name) => `${name} loss`)],
      [...marks].reverse().map((mark) => [
        anchor(mark.id, mark.name || "Unnamed snapshot"), whole.format(mark.iteration), ...names.map((name) => (mark.loss && name in mark.loss ? shown(mark.loss[name]) : "-")),
      ]),
      [1, ...names.map((_, index) => index + 2)],
    ));
  }
  if (history.curves.length) {
    const count = history.iterations.length;
    const rows = [...new Set(Array.from({ length: Math.min(20, count) }, (_, at) => Math.round(((at + 1) * count) / Math.min(20, count)) - 1))];
    made.push(table(
      ["Iteration", ...history.curves.flatMap((curve) => [`${curve.name}, mean`, "lowest", "highest"])],
      rows.map((at) => [whole.format(history.iterations[at]), ...history.curves.flatMap((curve) => [shown(curve.mean[at]), shown(curve.low[at]), shown(curve.high[at])])]),
      history.curves.flatMap((_, index) => [index * 3 + 1, index * 3 + 2, index * 3 + 3]),
    ));
  }
  return made;
}

class Growth {
  constructor(box) {
    this.box = box;
    hear(["vault"], () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.load(), 1500);
    });
    this.load();
  }

  async load() {
    try {
      const { snapshots, growth } = await ask("/usage");
      this.draw(growth.map((point, at) => ({ ...snapshots[at], ...point })));
    } catch (error) {
      this.chart?.plot?.end();
      this.chart = null;
      excuse(this.box, error.message, "i-warn");
    }
  }

  draw(points) {
    if (!points.length) {
      excuse(this.box, "There are no snapshots any more.");
      return;
    }
    const last = points.at(-1);
    byId("growth-told").textContent = `${points.length === 1 ? "1 snapshot" : `${whole.format(points.length)} snapshots`} · ${bytes(last.logical_bytes)} as copies, ${bytes(last.stored_bytes)} stored`;
    this.chart ??= new GrowthChart(this.box, { label: "Storage over time" });
    this.chart.show(points);
    byId("growth-legend").replaceChildren(
      key("area", "As many copies", { series: "2" }), key("area", "Stored in the vault", { series: "1" }),
    );
    byId("growth-table").replaceChildren(table(
      ["Snapshot", "Model", "Taken", "All copies", "All stored"],
      [...points].reverse().map((point) => [
        anchor(point.id, point.name || "Unnamed snapshot"), point.model, new Date(point.created).toLocaleString(), bytes(point.logical_bytes), bytes(point.stored_bytes),
      ]),
      [3, 4],
    ));
  }
}

if (byId("losses")) new Losses(byId("losses"));
if (byId("growth")) new Growth(byId("growth"));

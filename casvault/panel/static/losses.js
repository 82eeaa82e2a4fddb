// The chart of losses: for each loss the mean as a line and what lies between its lowest and highest values as a band,
// and the model's snapshots along it, each a link to its card.

import { Plot, axis, colour, font, usual } from "./plot.js";

const LANE = 22;
const NEAR = 15;
const whole = new Intl.NumberFormat("en");

/** A loss as the list shows it. */
export function shown(value) {
  return value == null ? "?" : value.toFixed(4);
}

const token = (index) => `--series-${(index % 4) + 1}`;

/** What the tip and the screen reader are told of a snapshot. */
export function described(mark) {
  const losses = Object.entries(mark.loss ?? {}).map(([name, value]) => `${name} ${shown(value)}`);
  const place = mark.iteration == null ? [] : [`iteration ${whole.format(mark.iteration)}`];
  return [mark.name || "Unnamed snapshot", ...place, ...losses].join(", ");
}

export class LossChart {
  /**
   * @param box the element that it fills
   * @param choose called with the iterations between which somebody wants to look, nulls for all
   */
  constructor(box, { label, choose, height, href }) {
    this.box = box;
    this.label = label;
    this.choose = choose;
    this.height = height ?? ((width) => (width < 560 ? 280 : 380));
    this.href = href;
    this.shape = null;
  }

  /** Draw a history, as the API gives it. */
  show(history, { log = false, raw = true, whole = false } = {}) {
    this.history = history.curves.length ? history : sparse(history);
    this.log = log;
    this.raw = raw && history.curves.length > 0;
    this.marks = history.marks.filter((mark) => mark.iteration != null);
    this.whole = whole;
    const shape = JSON.stringify([this.history.curves.map((curve) => curve.name), log, this.raw]);
    if (this.plot && this.shape === shape) this.plot.show(this.data());
    else {
      this.plot?.end();
      this.shape = shape;
      this.plot = new Plot(this.box, this.options(), this.data());
    }
  }

  data() {
    const kept = (values) => (this.log ? values.map((value) => (value > 0 ? value : null)) : values);
    const columns = this.history.curves.flatMap(({ low, high, mean }) => [low, high, mean].map(kept));
    return [this.history.iterations, ...columns];
  }

  options() {
    const { curves } = this.history;
    const single = () => this.history.curves.every(({ low, high }) => low.every((value, at) => value === high[at]));
    const few = () => this.history.iterations.length < 40;
    const faint = (index, alpha) => () => (this.raw ? colour(token(index), alpha) : "transparent");
    const series = curves.flatMap((curve, index) => [
      { scale: "y", stroke: () => (this.raw && single() ? colour(token(index), 0.35) : "transparent"), width: 1, points: { show: false } },
      { scale: "y", stroke: "transparent", width: 0, points: { show: false } },
      {
        scale: "y",
        stroke: () => colour(token(index)),
        width: 2,
        dash: index % 2 ? [7, 3] : [],
        points: { show: few, size: 6, fill: () => colour(token(index)), stroke: () => colour(token(index)) },
        spanGaps: !this.raw,
        hover: String((index % 4) + 1),
      },
    ]);
    return {
      label: this.label,
      height: this.height,
      lane: LANE,
      scales: {
        x: { time: false, range: (plot, low, high) => this.within(low, high) },
        y: { distr: this.log ? 3 : 1, range: (plot, low, high) => this.range(plot, low, high) },
      },
      series: [{}, ...series],
      bands: curves.map((curve, index) => ({ series: [index * 3 + 2, index * 3 + 1], fill: faint(index, 0.2) })),
      axes: [
        axis({ size: 34, space: 70, values: (plot, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? whole.format(tick) : "")),
          label: "Iteration", labelSize: 18, labelGap: 0, labelFont: font() }),
        axis({ scale: "y", size: 58, values: (plot, ticks) => ticks.map((tick) => (tick == null ? "" : tidy(tick))) }),
      ],
      hooks: { draw: [(plot) => this.drawn(plot)] },
      tell: (at) => this.told(at),
      zoomed: (low, high) => this.choose(low, high),
    };
  }

  /** All of the history, and where all is shown also what was trained beyond it on another line. */
  within(low, high) {
    const far = this.whole ? this.marks.reduce((most, mark) => Math.max(most, mark.iteration), high) : high;
    if (low === far) return [low - 1, far + 1];
    return [low, far > high ? far + (far - low) * 0.02 : far];
  }

  range(plot, low, high) {
    if (low == null || high == null) return this.log ? [0.1, 1] : [0, 1];
    const { curves } = this.history;
    const [least, most] = usual(this.raw ? curves.flatMap((curve) => [curve.low, curve.high]) : curves.map((curve) => curve.mean));
    const means = curves.flatMap((curve) => curve.mean).filter((value) => value != null && (!this.log || value > 0));
    const bottom = Math.min(least, ...extremes(means)[0]);
    const top = Math.max(most, ...extremes(means)[1]);
    if (this.log) return [Math.max(bottom, top / 1e6) * 0.92, top * 1.08];
    const room = (top - bottom || Math.abs(top) || 1) * 0.06;
    return [bottom >= 0 ? Math.max(0, bottom - room) : bottom - room, top + room];
  }

  told(at) {
    const { iterations, curves } = this.history;
    const first = at > 0 ? iterations[at - 1] + 1 : iterations[at];
    const many = this.raw && first < iterations[at];
    const place = many ? `${whole.format(first)} – ${whole.format(iterations[at])}` : whole.format(iterations[at]);
    const lines = [{ text: "Iteration", value: place }];
    curves.forEach((curve, index) => {
      lines.push({ text: curve.name, value: shown(curve.mean[at]), series: String((index % 4) + 1) });
      if (many && curve.low[at] != null) lines.push({ text: "from – to", value: `${shown(curve.low[at])} – ${shown(curve.high[at])}` });
      else if (this.raw && curve.low[at] !== curve.mean[at]) lines.push({ text: "this one", value: shown(curve.low[at]) });
    });
    return lines;
  }

  /** After each drawing: dots where snapshots are, names at the ends of the lines, and the links above. */
  drawn(plot) {
    const { ctx, bbox } = plot;
    const scale = devicePixelRatio;
    const { min, max } = plot.scales.x;
    const seen = this.marks.filter((mark) => mark.iteration >= min && mark.iteration <= max);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left - 6 * scale, bbox.top, bbox.width + 12 * scale, bbox.height);
    ctx.clip();
    for (const mark of seen) {
      const left = plot.valToPos(mark.iteration, "x", true);
      ctx.strokeStyle = colour("--line-strong", 0.55);
      ctx.lineWidth = scale;
      ctx.setLineDash([2 * scale, 4 * scale]);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      ctx.setLineDash([]);
      this.history.curves.forEach((curve, index) => {
        const value = mark.loss?.[curve.name];
        if (value == null || (this.log && value <= 0)) return;
        ctx.beginPath();
        ctx.arc(left, plot.valToPos(value, "y", true), 4.5 * scale, 0, 2 * Math.PI);
        ctx.fillStyle = mark.on_curve ? colour(token(index)) : colour("--surface");
        ctx.strokeStyle = mark.on_curve ? colour("--surface") : colour(token(index));
        ctx.lineWidth = 1.5 * scale;
        ctx.fill();
        ctx.stroke();
      });
    }
    ctx.restore();
    queueMicrotask(() => this.link(plot, seen));
  }

  /** Put links above the plot, those that are near each other together. */
  link(plot, seen) {
    const groups = [];
    for (const mark of [...seen].sort((a, b) => a.iteration - b.iteration)) {
      const left = plot.valToPos(mark.iteration, "x");
      const group = groups.at(-1);
      if (group && left - group.left < NEAR) group.marks.push(mark);
      else groups.push({ left, marks: [mark] });
    }
    const focused = document.activeElement?.dataset?.mark;
    this.lane ??= document.createElement("div");
    this.lane.className = "plot-lane";
    this.lane.replaceChildren(...groups.map(({ left, marks }) => this.marker(left, marks)));
    if (this.lane.parentNode !== plot.over) plot.over.append(this.lane);
    if (focused) this.lane.querySelector(`[data-mark="${CSS.escape(focused)}"]`)?.focus();
  }

  marker(left, marks) {
    const [mark] = marks;
    const one = marks.length === 1;
    const made = document.createElement(one ? "a" : "button");
    made.className = "plot-mark";
    made.dataset.mark = mark.id;
    made.classList.toggle("is-many", !one);
    made.classList.toggle("is-beside", marks.every((each) => !each.on_curve));
    made.style.left = `${Math.round(left)}px`;
    if (one) {
      made.href = this.href(mark.id);
      made.setAttribute("aria-label", `Snapshot ${described(mark)}`);
    } else {
      made.type = "button";
      made.textContent = marks.length > 99 ? "99+" : String(marks.length);
      made.setAttribute("aria-label", `${marks.length} snapshots, iterations ${whole.format(mark.iteration)} to ${whole.format(marks.at(-1).iteration)}: look closer`);
      const span = Math.max(10, (marks.at(-1).iteration - mark.iteration) * 0.25);
      made.addEventListener("click", () => this.choose(mark.iteration - span, marks.at(-1).iteration + span));
    }
    const bubble = document.createElement("span");
    bubble.className = "plot-bubble";
    bubble.setAttribute("aria-hidden", "true");
    for (const each of marks.slice(0, 6)) {
      const line = document.createElement("span");
      line.textContent = described(each);
      bubble.append(line);
    }
    if (marks.length > 6) bubble.append(Object.assign(document.createElement("span"), { textContent: `and ${marks.length - 6} more` }));
    bubble.classList.toggle("is-left", left > this.box.clientWidth * 0.6);
    made.append(bubble);
    made.addEventListener("mousedown", (event) => event.stopPropagation());
    return made;
  }
}

/** The losses that snapshots have, where the model keeps none itself. */
function sparse(history) {
  const marks = history.marks.filter((mark) => mark.iteration != null && mark.loss).sort((a, b) => a.iteration - b.iteration);
  const places = [...new Map(marks.map((mark) => [mark.iteration, mark])).values()];
  const names = [...new Set(places.flatMap((mark) => Object.keys(mark.loss)))].slice(0, 4);
  const curves = names.map((name) => {
    const values = places.map((mark) => mark.loss[name] ?? null);
    return { name, low: values, high: values, mean: values };
  });
  return { ...history, iterations: places.map((mark) => mark.iteration), curves };
}

function extremes(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return values.length ? [[least], [most]] : [[], []];
}

function tidy(value) {
  return Math.abs(value) >= 1000 ? whole.format(value) : String(Number(value.toPrecision(3)));
}

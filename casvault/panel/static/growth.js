// The chart of storage over time: what as many copies would take, and what the vault stores, step by step.

import { Plot, axis, colour, stepped } from "./plot.js";

/** A size as the pages show it: 312 MB. */
export function bytes(number) {
  let value = number;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5) return `${unit === "B" || unit === "kB" || value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

/** Round steps of bytes, in the units that sizes are told in. */
function steps(most) {
  const rough = most / 5;
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const year = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Times under an axis, as exact as what is seen of it, with the day where it is another than before. */
function dated(ticks, { min, max }) {
  const span = max - min;
  let before = "";
  return ticks.map((tick) => {
    const moment = new Date(tick * 1000);
    if (span > 400 * 86400) return year.format(moment);
    if (span > 4 * 86400) return day.format(moment);
    const today = day.format(moment);
    const line = (span < 600 ? seconds : clock).format(moment);
    const told = today === before ? line : `${line}\n${today}`;
    before = today;
    return told;
  });
}

export class GrowthChart {
  constructor(box, { label }) {
    this.box = box;
    this.label = label;
    this.part = null;
  }

  /** Draw points, oldest first: what a snapshot is called, and what it and all before it take. */
  show(points) {
    this.points = points;
    if (this.plot) this.plot.show(this.data());
    else this.plot = new Plot(this.box, this.options(), this.data());
  }

  data() {
    const times = [];
    for (const point of this.points) {
      // Two that were taken at one moment still are two steps.
      const time = Date.parse(point.created) / 1000;
      times.push(times.length && time <= times.at(-1) ? times.at(-1) + 0.001 : time);
    }
    return [times, this.points.map((point) => point.logical_bytes), this.points.map((point) => point.stored_bytes)];
  }

  options() {
    const area = (token, hover, more = {}) => ({
      scale: "y", stroke: () => colour(token), fill: () => colour(token, 0.14), width: 2, hover, paths: stepped,
      points: { show: () => this.points.length < 60, size: 6, fill: () => colour(token), stroke: () => colour(token) }, ...more,
    });
    return {
      label: this.label,
      height: (width) => (width < 560 ? 220 : 280),
      scales: {
        x: { range: (plot, low, high) => this.within(low, high) },
        y: { range: (plot, low, high) => [0, (high || 1) * 1.08] },
      },
      series: [{}, area("--series-2", "2", { dash: [7, 3] }), area("--series-1", "1")],
      axes: [
        axis({ space: 84, values: (plot, ticks) => dated(ticks, plot.scales.x) }),
        axis({
          scale: "y",
          size: 66,
          splits: (plot, index, low, high) => {
            const step = steps(high);
            return Array.from({ length: Math.floor(high / step) + 1 }, (_, at) => at * step);
          },
          values: (plot, ticks) => ticks.map((tick) => (tick ? bytes(tick).replace(".0 ", " ") : "0")),
        }),
      ],
      tell: (at) => this.told(at),
      zoomed: (low, high) => {
        this.part = low == null ? null : [low, high];
        this.plot.plot.setData(this.data());
      },
    };
  }

  within(low, high) {
    if (this.part) return this.part;
    // Room to both sides, also where there is one moment only.
    const room = high > low ? (high - low) * 0.04 : 3600;
    return [low - room, high + room];
  }

  told(at) {
    const point = this.points[at];
    const before = at > 0 ? this.points[at - 1].stored_bytes : 0;
    return [
      { text: point.name || "Unnamed snapshot" },
      { text: when.format(new Date(point.created)) },
      { text: "as copies", value: bytes(point.logical_bytes), series: "2" },
      { text: "stored", value: bytes(point.stored_bytes), series: "1" },
      { text: "added by this one", value: bytes(point.stored_bytes - before) },
    ];
  }
}

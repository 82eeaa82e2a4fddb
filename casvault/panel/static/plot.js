// A plot: uPlot in the clothes of the panel. It takes its colours from the tokens of panel.css, follows the theme and
// the size of its box, and can be read and moved by keyboard: arrows walk along it, + and - zoom, 0 shows all of it.

import uPlot from "./vendor/uPlot.esm.js";

const known = new Map();
const painted = new Set();

/** The colour that a token has now, as a canvas takes it. */
export function colour(token, alpha = 1) {
  if (!known.has(token)) {
    const probe = document.createElement("span");
    probe.hidden = true;
    probe.style.color = `var(${token})`;
    document.body.append(probe);
    known.set(token, getComputedStyle(probe).color);
    probe.remove();
  }
  return alpha === 1 ? known.get(token) : known.get(token).replace(/^rgba?\(([^/)]*)\)$/, (_, parts) => {
    const [red, green, blue] = parts.split(/[ ,]+/);
    return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
  });
}

function repaint() {
  known.clear();
  for (const plot of painted) plot.redraw(false);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });

/** How to draw a line that stays as it is until the next point. */
export const stepped = uPlot.paths.stepped({ align: 1 });

/** The font of all that is written in a plot. */
export const font = () => `12px ${getComputedStyle(document.body).fontFamily}`;

/** An axis in the panel's colours. */
export function axis(more = {}) {
  return {
    stroke: () => colour("--text-2"),
    font: font(),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { stroke: () => colour("--line"), width: 1, size: 5 },
    border: { show: true, stroke: () => colour("--line-strong"), width: 1 },
    ...more,
  };
}

/** A dot that follows the pointer along one series; none for series without `hover`. */
function follower(plot, index) {
  const series = plot.series[index];
  if (!series.hover) return null;
  const dot = document.createElement("div");
  dot.className = "plot-dot";
  dot.dataset.series = series.hover;
  return dot;
}

export class Plot {
  /**
   * @param box the element that it fills
   * @param options uPlot's, without sizes; `label` is what the plot is called, `tell(index)` returns lines of text for
   *   a point, `zoomed(min, max)` is called when another part was chosen, with nulls for all of it.
   */
  constructor(box, { label, height, tell, zoomed, lane = 0, hooks = {}, ...options }, data) {
    this.box = box;
    this.tell = tell;
    this.zoomed = zoomed ?? (() => {});
    this.height = height;
    this.frame = document.createElement("div");
    this.frame.className = "plot-frame";
    this.frame.tabIndex = 0;
    this.frame.setAttribute("role", "group");
    this.frame.setAttribute("aria-roledescription", "chart");
    this.frame.setAttribute("aria-label", `${label}. Arrow keys read values, plus and minus zoom, 0 shows all.`);
    this.tip = document.createElement("div");
    this.tip.className = "plot-tip";
    this.tip.hidden = true;
    this.spoken = document.createElement("p");
    this.spoken.className = "hidden-text";
    this.spoken.setAttribute("aria-live", "polite");
    box.replaceChildren(this.frame, this.spoken);

    this.plot = new uPlot({
      ...options,
      ...this.size(),
      padding: [12 + lane, 22, 0, 4],
      legend: { show: false },
      cursor: {
        y: false,
        points: { show: follower, size: 9 },
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => { this.zoomed(null, null); return null; } },
      },
      hooks: {
        ...hooks,
        setCursor: [(plot) => this.point(plot)],
        setSelect: [(plot) => this.select(plot)],
      },
    }, data, this.frame);
    this.plot.over.append(this.tip);
    this.plot.root.querySelector("canvas").setAttribute("aria-hidden", "true");
    this.frame.addEventListener("keydown", (event) => this.key(event));
    this.frame.addEventListener("blur", () => this.plot.setCursor({ left: -10, top: -10 }));
    this.watch = new ResizeObserver(() => this.plot.setSize(this.size()));
    this.watch.observe(box);
    painted.add(this.plot);
  }

  size() {
    const width = Math.max(220, Math.floor(this.box.clientWidth));
    return { width, height: this.height(width) };
  }

  /** Show other data; what is pointed at stays where it is. */
  show(data) {
    this.plot.setData(data);
  }

  end() {
    this.watch.disconnect();
    painted.delete(this.plot);
    this.plot.destroy();
    this.box.replaceChildren();
  }

  point(plot) {
    const index = plot.cursor.idx;
    if (index == null || plot.cursor.left < 0) {
      this.tip.hidden = true;
      return;
    }
    const lines = this.tell(index);
    this.tip.replaceChildren(...lines.map(({ text, value, series }) => {
      const line = document.createElement("div");
      if (series) line.dataset.series = series;
      const name = document.createElement("span");
      name.textContent = text;
      const figure = document.createElement("b");
      figure.textContent = value ?? "";
      line.append(name, figure);
      return line;
    }));
    this.tip.hidden = false;
    const room = plot.over.clientWidth;
    const width = this.tip.offsetWidth;
    const left = plot.valToPos(plot.data[0][index], "x");
    this.tip.style.left = `${Math.round(left + width + 20 > room ? Math.max(0, left - width - 12) : left + 12)}px`;
    this.tip.style.top = "8px";
    if (document.activeElement === this.frame) {
      this.spoken.textContent = lines.map(({ text, value }) => `${text} ${value ?? ""}`.trim()).join(", ");
    }
  }

  select(plot) {
    const { left, width } = plot.select;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (width < 8) return;
    this.zoomed(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
  }

  /** Zoom about the point that is looked at, or the middle. */
  zoom(factor) {
    const { plot } = this;
    const { min, max } = plot.scales.x;
    const index = plot.cursor.idx;
    const centre = index != null && plot.cursor.left >= 0 ? plot.data[0][index] : (min + max) / 2;
    this.zoomed(centre - (centre - min) * factor, centre + (max - centre) * factor);
  }

  key(event) {
    if (event.target !== this.frame || event.ctrlKey || event.metaKey || event.altKey) return;
    const { plot } = this;
    const last = plot.data[0].length - 1;
    const here = plot.cursor.idx != null && plot.cursor.left >= 0 ? plot.cursor.idx : null;
    const step = event.shiftKey ? Math.max(1, Math.round(last / 20)) : 1;
    const moves = {
      ArrowLeft: () => (here ?? last + 1) - step,
      ArrowRight: () => (here ?? -1) + step,
      Home: () => 0,
      End: () => last,
    };
    if (moves[event.key]) {
      const index = Math.min(last, Math.max(0, moves[event.key]()));
      plot.setCursor({ left: plot.valToPos(plot.data[0][index], "x"), top: 10 });
    } else if (event.key === "+" || event.key === "=") this.zoom(0.5);
    else if (event.key === "-") this.zoom(2);
    else if (event.key === "0") this.zoomed(null, null);
    else if (event.key === "Escape") plot.setCursor({ left: -10, top: -10 });
    else return;
    event.preventDefault();
  }
}

/** A range that holds the values but for a few in a thousand at either end, which a spike of one iteration is. */
export function usual(columns) {
  const values = columns.flat().filter((value) => value != null).sort((a, b) => a - b);
  if (!values.length) return [0, 1];
  const at = (share) => values[Math.min(values.length - 1, Math.floor(share * values.length))];
  return [at(0.002), at(0.998)];
}

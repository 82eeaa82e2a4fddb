// What pages with charts have in common: asking for figures, saying why there are none, tables and legends.

export const whole = new Intl.NumberFormat("en");

/** Where the card of a snapshot is. */
export const link = (id) => `/#snapshot-${id}`;

/** Ask the API; what goes wrong is an Error with the sentence that it gave. */
export async function ask(path, signal) {
  let answer;
  try {
    answer = await fetch(`/api/v1${path}`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The panel does not answer any more. Start it again with “casvault panel”.");
  }
  const document = await answer.json();
  if (!answer.ok) throw new Error(sentence(document.error?.message ?? `The panel answered ${answer.status}.`));
  return document;
}

/** Ask for the losses of a snapshot, by its id, or of a live model, by its key. */
export function losses(of, query, signal) {
  const place = /^[0-9a-f]{16}$/.test(of) ? "models" : "snapshots";
  return ask(`/${place}/${encodeURIComponent(of)}/losses?${query}`, signal);
}

export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Say in the place of a chart why there is none. */
export function excuse(box, text, sign = "i-info") {
  const made = document.createElement("div");
  made.className = "plot-wait";
  made.setAttribute("role", "status");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon icon-l");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${sign}`);
  svg.append(use);
  const words = document.createElement("p");
  words.textContent = text;
  made.append(svg, words);
  box.replaceChildren(made);
}

/** A table of texts; `ends` are the columns with figures. */
export function table(heads, rows, ends) {
  const made = document.createElement("table");
  made.className = "table";
  const row = (cells, kind) => {
    const line = document.createElement("tr");
    cells.forEach((text, index) => {
      const cell = document.createElement(kind === "th" || index === 0 ? "th" : "td");
      cell.scope = kind === "th" ? "col" : "row";
      cell.classList.toggle("end", ends.includes(index));
      if (text instanceof Node) cell.append(text);
      else cell.textContent = text;
      line.append(cell);
    });
    return line;
  };
  const head = made.createTHead();
  head.append(row(heads, "th"));
  const body = made.createTBody();
  body.append(...rows.map((cells) => row(cells, "td")));
  return made;
}

export function anchor(id, text) {
  const made = document.createElement("a");
  made.href = link(id);
  made.className = "typed";
  made.dir = "auto";
  made.textContent = text;
  return made;
}

/** One entry of a legend. */
export function key(kind, text, { series, dashed } = {}) {
  const made = document.createElement("span");
  made.className = "chart-key";
  const sign = document.createElement("i");
  sign.className = `key-${kind}`;
  sign.classList.toggle("is-dashed", Boolean(dashed));
  if (series) sign.dataset.series = series;
  const words = document.createElement("span");
  words.textContent = text;
  made.append(sign, words);
  return made;
}

// The panel's events, told to the page as events of the document: casvault:job, casvault:vault, casvault:live, ...
// After a connection that was lost everything is looked at anew, since nobody knows what was missed.
import { note } from "./notes.js";

const KINDS = ["job", "jobs", "vault", "live", "watch", "activity"];
const known = new WeakSet();
let begun = false;
let lost = 0;
let notice = null;

export function tell(kind, detail = {}) {
  document.dispatchEvent(new CustomEvent(`casvault:${kind}`, { detail }));
}

export function hear(kinds, listener) {
  for (const kind of kinds) document.addEventListener(`casvault:${kind}`, (event) => listener(event.detail, kind));
}

function attach(source) {
  if (known.has(source)) return;
  known.add(source);
  for (const kind of KINDS) source.addEventListener(kind, (event) => tell(kind, JSON.parse(event.data)));
  source.addEventListener("hello", () => {
    clearTimeout(lost);
    lost = 0;
    notice?.remove();
    notice = null;
    if (begun) for (const kind of ["vault", "live"]) tell(kind);
    begun = true;
  });
}

document.addEventListener("htmx:sseOpen", (event) => attach(event.detail.source));
document.addEventListener("htmx:sseError", () => {
  // A page that is left loses its stream too: only what lasts is told.
  if (!lost) lost = setTimeout(() => {
    notice = note("The panel does not answer. It may have been stopped: start it again with “casvault panel”.", { bad: true, stays: true });
  }, 3000);
});

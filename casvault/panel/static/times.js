// Ages that grow while a page is open. The units are those of casvault/figures.py, and a test holds the two together.
const AGES = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]];

export function age(seconds) {
  for (const [unit, length] of AGES) {
    if (seconds >= length) {
      const count = Math.floor(seconds / length);
      return `${count} ${unit}${count > 1 ? "s" : ""} ago`;
    }
  }
  return "just now";
}

export function tick(root = document) {
  for (const time of root.querySelectorAll("time[data-age]")) {
    const text = age(Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000));
    if (time.textContent !== text) time.textContent = text;
  }
}

setInterval(() => { if (!document.hidden) tick(); }, 15000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });

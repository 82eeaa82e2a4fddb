// Copies a command line that is shown, and says so.
import { say } from "./notes.js";

async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    // Without a secure connection a browser gives nothing to the clipboard: then it is selected at least.
    getSelection().selectAllChildren(code);
    return false;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const done = await copy(button.closest(".command").querySelector("code"));
  say(done ? "Copied" : "Selected; copy it with the keyboard");
  const use = button.querySelector("use");
  if (!done) return;
  use.setAttribute("href", "#i-good");
  setTimeout(() => use.setAttribute("href", "#i-copy"), 1600);
});

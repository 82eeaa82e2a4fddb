// The choice of a theme; theme.js applies it before the first paint.
const buttons = [...document.querySelectorAll("[data-theme-choice]")];

function show() {
  const chosen = document.documentElement.dataset.theme ?? "";
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.themeChoice === chosen));
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    const chosen = button.dataset.themeChoice;
    if (chosen) document.documentElement.dataset.theme = chosen;
    else delete document.documentElement.dataset.theme;
    try {
      localStorage.setItem("casvault-theme", chosen);
    } catch {
      // It holds for this page then.
    }
    show();
    document.dispatchEvent(new CustomEvent("casvault:theme"));
  });
}
show();

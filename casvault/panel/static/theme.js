// Runs before the first paint: the theme that was chosen in this browser, if any.
try {
  const chosen = localStorage.getItem("casvault-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing follows the system.
}

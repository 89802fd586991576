// Runs before the first paint: without a chosen theme, follow the system's preference.
if (document.documentElement.hasAttribute("data-theme-auto") && matchMedia("(prefers-color-scheme: dark)").matches) {
  document.documentElement.dataset.bsTheme = "dark";
}

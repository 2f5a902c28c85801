/* Light or dark: the system's choice, until the reader makes one. Not a module, so that it is set before anything shows. */

{
  const SLOT = "nacre-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = localStorage.getItem(SLOT);
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const tell = () => document.dispatchEvent(new Event("themechange"));
  system.addEventListener("change", tell);

  globalThis.theme = {
    isDark,
    toggle() {
      root.dataset.theme = isDark() ? "light" : "dark";
      localStorage.setItem(SLOT, root.dataset.theme);
      tell();
    },
  };
}

// Set light or dark before the first paint: what was chosen here, else what the system prefers, also when that changes.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const stored = localStorage.getItem("theme");
    const dark = stored ? stored === "dark" : system.matches;
    document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
  };
  show();
  system.addEventListener("change", show);
})();

// Sets Bootstrap's theme before the first paint: dark, or light if the system prefers it.
(() => {
  const light = matchMedia("(prefers-color-scheme: light)");
  const apply = () => {
    document.documentElement.dataset.bsTheme = light.matches ? "light" : "dark";
  };
  apply();
  light.addEventListener("change", apply);
})();

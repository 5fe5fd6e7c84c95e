// Says on the page that a script of it could not be loaded or failed. A classic script, which runs before all others.
(() => {
  const say = () => {
    document.getElementById("trouble").hidden = false;
  };
  const sayOnceRead = () => (document.readyState === "loading" ? addEventListener("DOMContentLoaded", say) : say());
  // Errors of loading do not bubble. Those without an error are the browser's notes, such as on resize observers.
  addEventListener("error", ({ target, error }) => (error || target instanceof HTMLScriptElement) && sayOnceRead(), true);
  addEventListener("unhandledrejection", ({ reason }) => reason?.name !== "AbortError" && sayOnceRead());
})();

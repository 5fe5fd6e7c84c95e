// A menu that opens below its button, and closes when something was chosen, with Escape, or by a click beside it.

/** @param {HTMLDetailsElement} menu */
export function closes(menu) {
  document.addEventListener("click", ({ target }) => {
    if (!menu.contains(target) || target.closest("a")) menu.open = false;
  });
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

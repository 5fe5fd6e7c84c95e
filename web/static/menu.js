// A menu that closes after a choice, on Escape, or on a click outside.

/** Make a `<details>` element close like a menu. @param {HTMLDetailsElement} menu */
export function wireMenu(menu) {
  document.addEventListener("click", ({ target }) => {
    if (!menu.contains(target) || target.closest("a")) menu.open = false;
  });
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

// What this browser keeps for the pages beyond a visit; nothing, where it is told not to.

/** Keep a value; null forgets it. @param {string} name @param {any} value as JSON */
export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // forbidden, or full
  }
}

/** Everything that is kept under names that begin so. @param {string} prefix @returns {any[]} */
export function kept(prefix) {
  try {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(prefix));
    return names.map((name) => JSON.parse(localStorage.getItem(name)));
  } catch {
    return []; // forbidden, or not ours
  }
}

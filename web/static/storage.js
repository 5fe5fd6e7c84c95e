// Values kept in localStorage. If the browser forbids it, nothing is kept.

/** Save a value; null deletes it. @param {string} name @param {any} value as JSON */
export function save(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // forbidden or full
  }
}

/** Return all values whose names begin with `prefix`. @param {string} prefix @returns {any[]} */
export function loadAll(prefix) {
  try {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(prefix));
    return names.map((name) => JSON.parse(localStorage.getItem(name)));
  } catch {
    return []; // forbidden, or not JSON
  }
}

// The labels of files that are imported into a dataset.

/**
 * Return the label of files that are added: that of the row they were dropped on; or the chosen one, if none of them is
 * in a folder; or null: their folders are their labels.
 * @param {{name: string}[]} found @param {string | null} row @param {string} chosen "" for none
 */
export function labelFor(found, row, chosen) {
  if (row !== null) return row;
  return chosen && found.every(({ name }) => !name.includes("/")) ? chosen : null;
}

// Renames, merges and deletes a label, after asking.

import { confirmed } from "./confirm.js";
import { deleteLabel, renameLabel } from "./datasets-api.js";
import { byId, element } from "./dom.js";
import { number, plural } from "./format.js";

/** Show a dialog and resolve to the value of the pressed button; "" if it was closed. @param {string} id @returns {Promise<string>} */
function asked(id) {
  const dialog = byId(id);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

// Not a submit button, since Enter in the field presses the first of those.
byId("renaming-back").addEventListener("click", () => byId("renaming").close());

/** Rename a label, or merge it with another one. Return its new name, or null if nothing was changed. @param {string} dataset @param {string} label */
export async function askToRename(dataset, label) {
  byId("renaming-title").textContent = `Rename ${label}`;
  byId("new-name").value = label;
  const answer = asked("renaming");
  byId("new-name").select();
  const wanted = (await answer) === "yes" ? byId("new-name").value.trim() : "";
  if (!wanted || wanted === label) return null;
  try {
    return await renameLabel(dataset, label, wanted).then(() => wanted);
  } catch (problem) {
    if (problem.status !== 409) throw problem;
    return askToMerge(dataset, label, wanted);
  }
}

async function askToMerge(dataset, label, wanted) {
  const text = [element("p", {}, `There is a label ${wanted} already. All pictures of ${label} would get the label ${wanted}, and ${label} would be gone. This cannot be undone.`)];
  if (!(await confirmed({ title: `Merge ${label} into ${wanted}?`, text, yes: "Merge", danger: true }))) return null;
  await renameLabel(dataset, label, wanted, true);
  return wanted;
}

/** Delete a label. Return whether it was deleted. @param {string} dataset @param {string} label @param {number} count pictures with it */
export async function askToDelete(dataset, label, count) {
  byId("removing-title").textContent = `Delete the label ${label}?`;
  byId("removing-text").textContent = `It has ${plural(count, "picture")}. This cannot be undone.`;
  byId("removing-all").textContent = `Delete ${count === 1 ? "the picture" : `the ${number(count)} pictures`} too`;
  const answer = await asked("removing");
  if (answer !== "unlabel" && answer !== "delete") return false;
  await deleteLabel(dataset, label, answer);
  return true;
}

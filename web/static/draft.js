// The draft of the training form, kept for this tab across reloads.

const KEY = "darkroom.training";

/** Load the draft, or an empty one. @returns {{preset: string | null, common: object, values: Record<string, object>}} */
export function loadDraft() {
  const empty = { preset: null, common: {}, values: {} };
  try {
    return { ...empty, ...JSON.parse(sessionStorage.getItem(KEY)) };
  } catch {
    return empty; // not a draft of ours
  }
}

/** Save a draft; null deletes it. @param {object | null} draft */
export function saveDraft(draft) {
  if (draft === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, JSON.stringify(draft));
}

// What was entered on the training page, kept for this tab so that loading it again loses nothing.

const KEY = "darkroom.training";

/** What was kept, or an empty draft. @returns {{preset: string | null, common: object, values: Record<string, object>}} */
export function readDraft() {
  const empty = { preset: null, common: {}, values: {} };
  try {
    return { ...empty, ...JSON.parse(sessionStorage.getItem(KEY)) };
  } catch {
    return empty; // nothing that is ours
  }
}

/** Keep a draft; null forgets it. @param {object | null} draft */
export function keepDraft(draft) {
  if (draft === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, JSON.stringify(draft));
}

// Groups of near copies: which of them have several labels, and which picture is worth keeping.

/** Return the labels of pictures, the most frequent first. @param {{label: string | null}[]} pictures @returns {string[]} */
export function labelsOf(pictures) {
  const counts = new Map();
  for (const { label } of pictures) if (label !== null) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].toSorted(([, one], [, other]) => other - one).map(([label]) => label);
}

/** Whether pictures have several labels. @param {{label: string | null}[]} pictures */
export const isMixed = (pictures) => labelsOf(pictures).length > 1;

/** Return the groups of two or more pictures that have several labels, or those that have not. @param {{label: string | null}[][]} listed @param {boolean} mixed */
export const groupsOf = (listed, mixed) => listed.filter((group) => group.length > 1 && isMixed(group) === mixed);

const worth = ({ label, width, height, bytes }) => [Number(label !== null), width * height, bytes];

/** Sort pictures: those with a label first, then the largest ones. @param {any[]} pictures */
export const bestFirst = (pictures) =>
  pictures.toSorted((one, other) => {
    const [mine, yours] = [worth(one), worth(other)];
    return mine.map((value, place) => yours[place] - value).find((difference) => difference !== 0) ?? 0;
  });

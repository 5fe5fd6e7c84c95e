"""What a Dataset needs before a training can learn from it."""

from __future__ import annotations

from collections.abc import Mapping

#: Pictures of each Label that a training needs: four to learn from and one to test on.
MIN_PICTURES = 5
#: Labels that a training needs.
MIN_LABELS = 2
#: Labels that an error names.
NAMED = 5


def too_thin(pictures: Mapping[str, int]) -> str | None:
    """Return why no training can learn from this number of pictures of each Label, without a full stop, or None.

    A Label without any pictures does not matter.
    """
    used = {label: count for label, count in pictures.items() if count}
    if len(used) < MIN_LABELS:
        named = "".join(f" ({label})" for label in used)
        return (
            f"a training needs pictures of {MIN_LABELS} labels, and the dataset has pictures of {len(used)}{named}. "
            "Put each class in a folder of its own"
        )
    thin = [f"{label} ({count})" for label, count in used.items() if count < MIN_PICTURES]
    if not thin:
        return None
    more = f" and {len(thin) - NAMED} more" if len(thin) > NAMED else ""
    return (
        f"a training needs {MIN_PICTURES} pictures of each label; these have fewer: {', '.join(thin[:NAMED])}{more}. "
        "Add pictures to them, or delete these labels: ./darkroom datasets delete-label DATASET LABEL"
    )

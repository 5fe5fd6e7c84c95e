"""The Labels of pictures that are imported into a Dataset.

The first of these that names a Label wins: the request's `label`, its part `labels`, a `labels.csv` in the archive, the
name of the folder that holds the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from shared.datasets.labels_file import Listed, plain_name
from shared.datasets.names import label_name
from shared.domain.entities import Upload
from shared.domain.errors import InvalidRequest, ItemError

#: Bytes of a list of labels: 100,000 lines of 160 characters.
MAX_LABELS_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Labelling:
    """How the pictures of a request get their Labels. `label` is a valid name, for all of them."""

    label: str | None = None
    use_folders: bool = True

    def apply(self, upload: Upload, listed: Listed | None) -> Upload:
        """Return the upload with its Label and split; None if there is none. Raise ItemError (`bad_label`)."""
        label = self.label
        if label is None and listed is not None:
            label = valid_label(listed.label)
        elif label is None and self.use_folders:
            label = valid_label(folder_label(upload.filename))
        if listed is None:
            return replace(upload, label=label)
        return replace(upload, label=label, split=listed.split, pinned=listed.pinned)


def valid_label(name: str | None) -> str | None:
    """Return the name as it is stored, or None if it is empty. Raise ItemError (`bad_label`) if it is not allowed."""
    if name is None or not name.strip():
        return None
    try:
        return label_name(name)
    except InvalidRequest as error:
        raise ItemError("bad_label", str(error)) from error


def folder_label(name: str) -> str | None:
    """Return the name of the folder that holds a picture, or None if it lies in no folder."""
    return PurePosixPath(plain_name(name)).parent.name or None

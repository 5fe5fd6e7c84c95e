"""Export a dataset to a zip file or a folder."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from cli.client import Client, NotSent

#: The table in the zip, which is not a picture.
TABLE = "labels.csv"


def export(client: Client, dataset: str, target: Path) -> int:
    """Write a dataset to `target`: a zip if that is its ending, else a folder. Return the number of pictures.

    Raise NotSent if there is something at `target` already: nothing is overwritten.
    """
    if target.exists() and not (target.is_dir() and target.suffix != ".zip" and not any(target.iterdir())):
        raise NotSent(f"{target} is there already: choose another place")
    if target.suffix == ".zip":
        client.export_dataset(dataset, target)
        return _pictures(target)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        archive = Path(folder, "dataset.zip")
        client.export_dataset(dataset, archive)
        with zipfile.ZipFile(archive) as content:
            content.extractall(target)
        return _pictures(archive)


def _pictures(archive: Path) -> int:
    with zipfile.ZipFile(archive) as content:
        return sum(name != TABLE for name in content.namelist())

"""The calls of the client for Datasets, their Labels and pictures."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from cli.client.calls import Calls, Json, given

#: Pictures that one request labels or deletes.
MANY = 1_000
#: Pictures on a page.
PAGE = 1000
#: Seconds between two looks for a report that is being computed.
REPORT_POLL_S = 0.5

Entry = TypeVar("Entry")


class DatasetCalls(Calls):
    """Datasets. Pictures are named by their ids, Labels by their names."""

    def datasets(self) -> Iterator[Json]:
        """Return the Datasets of the key's owner by name, read page by page."""
        return self._pages("/v1/datasets", {})

    def dataset(self, name: str) -> Json:
        """Return a Dataset: its Labels, and the number of pictures of each. Raises NotFound."""
        return self._get(dataset_path(name))

    def create_dataset(self, name: str, labels: Sequence[str] = ()) -> Json:
        """Create a Dataset without pictures, and return it. Raises Conflict if there is one of this name.

        Imports add Labels too; those given here have the first indices, in this order.
        """
        return self._post("/v1/datasets", {"name": name, "labels": list(labels)})

    def delete_dataset(self, name: str) -> None:
        """Delete a Dataset with every stored byte. Versions that were trained from it stay."""
        self._transport.call("DELETE", dataset_path(name))

    def export_dataset(self, name: str, path: str | os.PathLike[str]) -> None:
        """Write a Dataset to a new zip file: a folder for each Label, and `labels.csv`. Raises FileExistsError.

        Not retried: if the connection breaks, no file is left.
        """
        self._save(path, dataset_path(name, "archive"))

    def open_import(
        self,
        dataset: str,
        *,
        label: str | None = None,
        flat: bool = False,
        metadata: Any = None,
        webhook: str | None = None,
    ) -> Json:
        """Open an import into a Dataset, for `send` and `seal`, and return its Job.

        A picture's Label is `label`, or the name of the folder that holds it unless `flat`.
        """
        layout = "flat" if flat else "folders"
        wanted = given(label=label, layout=layout, metadata=metadata, webhook=webhook)
        return self._post(dataset_path(dataset, "imports"), wanted)

    def pictures(
        self,
        dataset: str,
        *,
        label: str | None = None,
        state: Literal["labelled", "unlabelled"] | None = None,
        split: Literal["train", "test"] | None = None,
        q: str | None = None,
        group: str | None = None,
        doubt: float | None = None,
        sort: Literal["oldest", "newest", "doubt", "suggested"] | None = None,
    ) -> Iterator[Json]:
        """Return the pictures of a Dataset, read page by page.

        `q` is a part of the file's name, `group` the `group` of a picture whose near copies are wanted, `doubt` the
        least doubt about the Label.
        """
        query = given(label=label, state=state, split=split, q=q, group=group, doubt=doubt, sort=sort, limit=PAGE)
        return self._pages(dataset_path(dataset, "pictures"), query)

    def picture(self, dataset: str, picture: str) -> Json:
        """Return a picture: its Label, Split and size, and what the last report thinks of it. Raises NotFound."""
        return self._get(picture_path(dataset, picture))

    def label_pictures(self, dataset: str, labels: Mapping[str, str | None]) -> None:
        """Change the Labels of pictures; None removes a Label. Raises Invalid for an unknown Label or picture.

        Each request changes up to 1,000 pictures, all or none.
        """
        for some in _batched(labels.items()):
            self._post(dataset_path(dataset, "pictures", "labels"), {"labels": dict(some)})

    def pin_picture(self, dataset: str, picture: str, split: Literal["train", "test"]) -> Json:
        """Pin a picture and its near copies to a side of the Split, and return it."""
        return self._transport.json("PUT", picture_path(dataset, picture), json={"split": split})

    def reject_label(self, dataset: str, picture: str, label: str | None) -> Json:
        """Keep the Label of a picture against this other one, which is not suggested for it again; return the picture.

        None forgets that. Raises Invalid for the picture's own Label.
        """
        return self._transport.json("PUT", picture_path(dataset, picture), json={"rejected": label})

    def report(self, dataset: str, *, timeout_s: float | None = None) -> Json:
        """Return what is wrong or thin in a Dataset, after a worker has computed it for the present pictures.

        With `timeout_s`, return what there is after that time: `computing` is true then, and `computed` stale or None.
        """
        deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        while True:
            report = self._get(dataset_path(dataset, "report"))
            if not report["computing"] or time.monotonic() >= deadline:
                return report
            time.sleep(REPORT_POLL_S)

    def delete_pictures(self, dataset: str, pictures: Iterable[str]) -> None:
        """Delete pictures with their thumbnails and Embeddings, up to 1,000 at a time.

        Those that are already gone are passed over.
        """
        for some in _batched(pictures):
            self._post(dataset_path(dataset, "pictures", "delete"), {"pictures": list(some)})

    def add_label(self, dataset: str, label: str) -> Json:
        """Add a Label, if it is not there, and return it."""
        return self._post(dataset_path(dataset, "labels"), {"name": label})

    def rename_label(self, dataset: str, label: str, name: str, *, merge: bool = False) -> Json:
        """Rename a Label, and return it. Raises Conflict if there is one of this name, unless `merge` unites them."""
        path = dataset_path(dataset, "labels", quote(label, safe=""))
        return self._transport.json("PUT", path, json={"name": name, "merge": merge})

    def delete_label(self, dataset: str, label: str, *, pictures: Literal["unlabel", "delete"] = "unlabel") -> None:
        """Delete a Label; its pictures stay without one, or are deleted."""
        path = dataset_path(dataset, "labels", quote(label, safe=""))
        self._transport.call("DELETE", path, params={"pictures": pictures})


def dataset_path(name: str, *more: str) -> str:
    """Return the path of a Dataset, or below it. The name is escaped."""
    return "/".join(("/v1/datasets", quote(name, safe=""), *more))


def picture_path(dataset: str, picture: str) -> str:
    """Return the path of a picture. Its id is escaped."""
    return dataset_path(dataset, "pictures", quote(picture, safe=""))


def _batched(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while some := list(islice(rest, MANY)):
        yield some

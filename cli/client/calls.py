"""What the groups of calls in the client have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.client.transport import Transport

Json = dict[str, Any]


class Calls:
    """Calls of the API over one transport."""

    _transport: Transport

    def _get(self, path: str, query: Json | None = None) -> Json:
        return self._transport.json("GET", path, params=query)

    def _post(self, path: str, body: Json | None = None) -> Json:
        return self._transport.json("POST", path, json=body)

    def _save(self, path: str | os.PathLike[str], url: str, **content: Any) -> None:
        """Write a response to a new file. If the connection breaks, no file is left. Raises FileExistsError."""
        with Path(path).open("xb") as file:
            try:
                self._transport.download(url, file, **content)
            except BaseException:
                Path(path).unlink()
                raise

    def _pages(self, path: str, query: Json) -> Iterator[Json]:
        while True:
            page = self._get(path, query)
            yield from page["data"]
            if not page["next"]:
                return
            query = {**query, "after": page["next"]}


def given(**values: Any) -> Json:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}

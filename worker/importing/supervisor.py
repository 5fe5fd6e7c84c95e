"""Import uploaded models: one at a time, each in a child process."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from shared.domain.card import CARD_FILE, ModelCard
from shared.domain.errors import Conflict, DarkroomError, InvalidRequest
from shared.logs import with_cause
from shared.models.import_queue import (
    IMPORT_TIMEOUT_S,
    ImportQueue,
    ImportResult,
    ImportStatus,
    ModelImport,
    file_extension,
)
from shared.models.registry import Registry
from worker.publishing.promotion import promote
from worker.publishing.scratch import IMPORT_PREFIX
from worker.sandbox import Child

log = logging.getLogger("darkroom.import")

#: The rule by which a version becomes the champion: only if its Classifier has none.
FIRST = "if_first"


@dataclass
class Running:
    """An import that runs in a child process."""

    wanted: ModelImport
    child: Child


class ImportSupervisor:
    """Runs one import after another. `poll` is called periodically and never waits for the child."""

    def __init__(
        self,
        imports: ImportQueue,
        registry: Registry,
        temporary_folder: str | None,
        timeout_s: float = IMPORT_TIMEOUT_S,
    ) -> None:
        """`temporary_folder` is where the files of an import are kept, None for the system's default."""
        self._imports, self._registry = imports, registry
        self._temporary_folder, self._timeout_s = temporary_folder, timeout_s
        self._running: Running | None = None

    def poll(self) -> None:
        """Start the next import, or renew the lease of the one that runs, or finish it. Raises Unavailable."""
        if self._running is None:
            self._start()
        elif self._running.child.is_done():
            self._finish_child(self._running)
        else:
            self._imports.renew(self._running.wanted)
        self._imports.sweep()

    def stop(self) -> None:
        """Kill the running child; the client must submit the model again."""
        if self._running is not None:
            self._finish(self._running, ImportResult(ImportStatus.FAILED, "the service stopped during the import"))

    def _start(self) -> None:
        wanted = self._imports.take()
        if wanted is None:
            return
        folder = tempfile.TemporaryDirectory(dir=self._temporary_folder, prefix=IMPORT_PREFIX)
        try:
            child = Child.start(folder, "worker.importing", lambda path: self._prepare(wanted, path), self._timeout_s)
            self._running = Running(wanted, child)
        except (DarkroomError, OSError) as error:
            log.warning("the import of %s fails: %s", wanted.source, with_cause(error))
            self._imports.finish(wanted, ImportResult(ImportStatus.FAILED, str(error)))

    def _prepare(self, wanted: ModelImport, folder: Path) -> list[str]:
        """Fetch the upload to a folder, and return the arguments of the child."""
        part = folder / "upload"
        self._imports.fetch(wanted, part)
        with part.open("rb") as content:
            ending = file_extension(content.read(8)) or ".keras"
        return _arguments(wanted, part.rename(part.with_suffix(ending)))

    def _finish_child(self, running: Running) -> None:
        try:
            result = self._result(running.child)
        except InvalidRequest as error:
            result = ImportResult(ImportStatus.REFUSED, str(error))
        except DarkroomError as error:
            result = ImportResult(ImportStatus.FAILED, str(error))
        self._finish(running, result)

    def _finish(self, running: Running, result: ImportResult) -> None:
        self._running = None
        running.child.end()
        log.info("%s: %s, %s", running.wanted.source, result.status, result.detail)
        self._imports.finish(running.wanted, result)

    def _result(self, child: Child) -> ImportResult:
        """Return how the import ended. Raises Unavailable and StorageFull if its version cannot be stored."""
        problem = child.problem("the import")
        if problem is not None:
            return ImportResult(ImportStatus.REFUSED, problem)
        version = self._publish(Path(child.folder.name) / "versions" / child.last_line("out"))
        return ImportResult(ImportStatus.IMPORTED, version)

    def _publish(self, folder: Path) -> str:
        card = ModelCard.read(folder / CARD_FILE)
        self._check_labels(card)
        try:
            self._registry.publish(folder)
        except Conflict:  # an earlier import of the same file whose result got lost
            return card.version
        if card.owner is not None:
            promote(self._registry, FIRST, card.version)
        return card.version

    def _check_labels(self, card: ModelCard) -> None:
        """Raise InvalidRequest if the champion of the Classifier has other Labels."""
        alias = self._registry.find_alias(card.belongs_to) if card.owner is not None else None
        if alias is not None and self._registry.card(alias.version).labels != card.labels:
            raise InvalidRequest(f"classifier: {card.classifier} has other labels than the model: choose another name")


def _arguments(wanted: ModelImport, file: Path) -> list[str]:
    """Return the arguments of the process that imports `file`; its input and output are in the file's folder."""
    arguments = [str(file), f"--source={wanted.source}", f"--out={file.parent / 'versions'}"]
    arguments += [
        f"--{name}={value}"
        for name in ("resize", "owner", "classifier", "own")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.labels is not None:
        labels = file.parent / "labels.json"
        labels.write_text(json.dumps(wanted.labels))
        arguments.append(f"--labels={labels}")
    if wanted.preprocessing is not None:
        arguments.append(f"--preprocessing={wanted.preprocessing.model_dump_json()}")
    return arguments

"""Import uploaded models: one at a time, each in a child process.

The child gets the file and nothing else: no address of Redis or the storage, and no password. This process does not
load TensorFlow.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
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

log = logging.getLogger("darkroom.import")

ROOT = Path(__file__).resolve().parent.parent.parent
#: The rule by which a version becomes the champion: only if its Classifier has none.
FIRST = "if_first"
#: Environment variables that the child inherits: those that Python, Keras and TensorFlow need, and CIFAR-10's path.
INHERITED = ("PATH", "HOME", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR", "KERAS_HOME", "DARKROOM_CIFAR10")


@dataclass
class ImportProcess:
    """A child process that imports one model. Its files and output are in `folder`, which is deleted afterwards."""

    wanted: ModelImport
    folder: tempfile.TemporaryDirectory[str]
    process: subprocess.Popen[bytes]
    deadline: float

    def last_line(self, name: str) -> str:
        """Return the last line of its output, `out` or `err`."""
        lines = (Path(self.folder.name) / name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


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
        self._child: ImportProcess | None = None

    def poll(self) -> None:
        """Start the next import, or finish the one that has ended. Raises Unavailable."""
        if self._child is None:
            self._start()
        elif self._child.process.poll() is not None or time.monotonic() > self._child.deadline:
            self._finish_child(self._child)
        self._imports.sweep()

    def stop(self) -> None:
        """Kill the running child; the client must submit the model again."""
        if self._child is not None:
            self._finish(self._child, ImportResult(ImportStatus.FAILED, "the service stopped during the import"))

    def _start(self) -> None:
        wanted = self._imports.take()
        if wanted is None:
            return
        folder = tempfile.TemporaryDirectory(dir=self._temporary_folder, prefix=IMPORT_PREFIX)
        try:
            file = self._fetch(wanted, Path(folder.name))
            self._child = ImportProcess(wanted, folder, start(wanted, file), time.monotonic() + self._timeout_s)
        except (DarkroomError, OSError) as error:
            folder.cleanup()
            log.warning("the import of %s fails: %s", wanted.source, with_cause(error))
            self._imports.finish(wanted, ImportResult(ImportStatus.FAILED, str(error)))

    def _fetch(self, wanted: ModelImport, folder: Path) -> Path:
        part = folder / "upload"
        self._imports.fetch(wanted, part)
        with part.open("rb") as content:
            ending = file_extension(content.read(8)) or ".keras"
        return part.rename(part.with_suffix(ending))

    def _finish_child(self, child: ImportProcess) -> None:
        try:
            result = self._result(child)
        except InvalidRequest as error:
            result = ImportResult(ImportStatus.REFUSED, str(error))
        except DarkroomError as error:
            result = ImportResult(ImportStatus.FAILED, str(error))
        self._finish(child, result)

    def _finish(self, child: ImportProcess, result: ImportResult) -> None:
        self._child = None
        child.process.kill()
        child.process.wait()
        child.folder.cleanup()
        log.info("%s: %s, %s", child.wanted.source, result.status, result.detail)
        self._imports.finish(child.wanted, result)

    def _result(self, child: ImportProcess) -> ImportResult:
        """Return how the import ended. Raises Unavailable and StorageFull if its version cannot be stored."""
        status = child.process.returncode
        if status is None:
            return ImportResult(ImportStatus.REFUSED, f"the import took longer than {self._timeout_s:g} s")
        if status == os.EX_OK:
            return ImportResult(
                ImportStatus.IMPORTED, self._publish(Path(child.folder.name) / "versions" / child.last_line("out"))
            )
        if status == os.EX_DATAERR:
            return ImportResult(ImportStatus.REFUSED, child.last_line("err"))
        log.error("importing %s: status %s: %s", child.wanted.source, status, child.last_line("err"))
        return ImportResult(ImportStatus.REFUSED, f"the model could not be imported: {describe_exit(status)}")

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


def start(wanted: ModelImport, file: Path) -> subprocess.Popen[bytes]:
    """Start a process that imports `file`; its input, output and log are in the file's folder."""
    folder = file.parent
    command = [sys.executable, "-m", "worker.importing", str(file), f"--source={wanted.source}"]
    command.append(f"--out={folder / 'versions'}")
    command += [
        f"--{name}={value}" for name in ("owner", "classifier", "own") if (value := getattr(wanted, name)) is not None
    ]
    if wanted.labels is not None:
        labels = folder / "labels.json"
        labels.write_text(json.dumps(wanted.labels))
        command.append(f"--labels={labels}")
    if wanted.preprocessing is not None:
        command.append(f"--preprocessing={wanted.preprocessing.model_dump_json()}")
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)


def describe_exit(status: int) -> str:
    """Return why a process ended without a message, from its exit status."""
    if status == 1:
        return "see the log of the reconciler"
    if status > 0:
        return f"its process exited with status {status}"
    return f"its process was killed by {signal.Signals(-status).name}, perhaps because the model needs too much memory"

"""Have the models looked at that somebody wants to import: one at a time, each in a process of its own.

That process is given the file and nothing else: no address of Redis or the storage, no password. This one does not
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

from shared.domain.errors import Conflict, DarkroomError
from shared.models.import_queue import IMPORT_TIMEOUT_S, ImportResult, ImportStatus, ModelImport, file_extension
from shared.services import Services
from worker.publishing.scratch import IMPORT_PREFIX

log = logging.getLogger("darkroom.import")

ROOT = Path(__file__).resolve().parent.parent.parent
#: What the process inherits of the environment: what Python, Keras and TensorFlow need, and where CIFAR-10 is.
INHERITED = ("PATH", "HOME", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR", "KERAS_HOME", "DARKROOM_CIFAR10")


@dataclass
class Child:
    """A process that looks at one model. What it makes and says lies in `folder`, which goes when it is done."""

    wanted: ModelImport
    folder: tempfile.TemporaryDirectory[str]
    process: subprocess.Popen[bytes]
    deadline: float

    def said(self, name: str) -> str:
        """The last line of its output, `out` or `err`."""
        lines = (Path(self.folder.name) / name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


class Importer:
    """Takes one import after the other. `turn` is called again and again, and never waits for the process."""

    def __init__(self, services: Services, timeout_s: float = IMPORT_TIMEOUT_S) -> None:
        self._services, self._timeout_s = services, timeout_s
        self._child: Child | None = None

    def turn(self) -> None:
        """Begin the next import, or end the one that is done. Raises Unavailable."""
        if self._child is None:
            self._begin()
        elif self._child.process.poll() is not None or time.monotonic() > self._child.deadline:
            self._end(self._child)
        self._services.imports.sweep()

    def stop(self) -> None:
        """End the process in hand; whoever waits for its answer must ask again."""
        if self._child is not None:
            self._give(
                self._child, ImportResult(ImportStatus.FAILED, "the service was stopped while it imported the model")
            )

    def _begin(self) -> None:
        wanted = self._services.imports.take()
        if wanted is None:
            return
        folder = tempfile.TemporaryDirectory(dir=self._services.blobs.temporary_folder, prefix=IMPORT_PREFIX)
        try:
            file = self._fetched(wanted, Path(folder.name))
            self._child = Child(wanted, folder, start(wanted, file), time.monotonic() + self._timeout_s)
        except (DarkroomError, OSError) as error:
            folder.cleanup()
            log.warning("the import of %s ends: %s", wanted.source, error)
            self._services.imports.finish(wanted, ImportResult(ImportStatus.FAILED, str(error)))

    def _fetched(self, wanted: ModelImport, folder: Path) -> Path:
        part = folder / "upload"
        self._services.imports.fetch(wanted, part)
        with part.open("rb") as content:
            ending = file_extension(content.read(8)) or ".keras"
        return part.rename(part.with_suffix(ending))

    def _end(self, child: Child) -> None:
        try:
            outcome = self._outcome(child)
        except DarkroomError as error:
            outcome = ImportResult(ImportStatus.FAILED, str(error))
        self._give(child, outcome)

    def _give(self, child: Child, outcome: ImportResult) -> None:
        self._child = None
        child.process.kill()
        child.process.wait()
        child.folder.cleanup()
        log.info("%s: %s, %s", child.wanted.source, outcome.status, outcome.detail)
        self._services.imports.finish(child.wanted, outcome)

    def _outcome(self, child: Child) -> ImportResult:
        """What became of the file. Raises Unavailable and StorageFull where its version cannot be stored."""
        status = child.process.returncode
        if status is None:
            return ImportResult(ImportStatus.REFUSED, f"the model could not be imported within {self._timeout_s:g} s")
        if status == os.EX_OK:
            return ImportResult(
                ImportStatus.IMPORTED, self._published(Path(child.folder.name) / "versions" / child.said("out"))
            )
        if status == os.EX_DATAERR:
            return ImportResult(ImportStatus.REFUSED, child.said("err"))
        log.error("importing %s: status %s: %s", child.wanted.source, status, child.said("err"))
        return ImportResult(ImportStatus.REFUSED, f"the model could not be imported: {reason(status)}")

    def _published(self, folder: Path) -> str:
        try:
            return self._services.registry.publish(folder).version
        except Conflict:  # an earlier import of the same file, whose answer got lost
            return folder.name


def start(wanted: ModelImport, file: Path) -> subprocess.Popen[bytes]:
    """The process that looks at `file`; what it needs, makes and says lies beside the file."""
    folder = file.parent
    words = [sys.executable, "-m", "worker.importing", str(file), f"--source={wanted.source}"]
    words.append(f"--out={folder / 'versions'}")
    if wanted.labels is not None:
        labels = folder / "labels.json"
        labels.write_text(json.dumps(wanted.labels))
        words.append(f"--labels={labels}")
    if wanted.value_range is not None:
        words.append(f"--value-range={wanted.value_range}")
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        return subprocess.Popen(words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)


def reason(status: int) -> str:
    """Why a process ended that gave no reason itself."""
    if status == 1:
        return "the log of the reconciler says why"
    if status > 0:
        return f"its process ended with status {status}"
    return f"its process was ended by {signal.Signals(-status).name}, perhaps because the model needs too much memory"

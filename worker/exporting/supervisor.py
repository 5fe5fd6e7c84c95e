"""Make the exports that are waited for: one at a time, each in a child process, as models are imported."""

from __future__ import annotations

import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from shared.domain.card import CARD_FILE, HEAD_FILE
from shared.domain.errors import DarkroomError
from shared.logs import with_cause
from shared.models.exports import Export, ExportProblem, Exports
from shared.models.registry import Registry
from worker.publishing.scratch import EXPORT_PREFIX
from worker.sandbox import Child

log = logging.getLogger("darkroom.export")

#: Seconds that one export may take.
EXPORT_TIMEOUT_S = 300
#: Claims of one export, by reconcilers that died with it, before it is given up.
MAX_CLAIMS = 3
#: The zip in the folder of the child.
ZIP = "export.zip"


@dataclass
class Running:
    """An export that runs in a child process."""

    export: Export
    child: Child


class ExportSupervisor:
    """Makes one export after another. `poll` is called periodically and never waits for the child."""

    def __init__(
        self,
        exports: Exports,
        registry: Registry,
        temporary_folder: str | None,
        timeout_s: float = EXPORT_TIMEOUT_S,
    ) -> None:
        """`temporary_folder` is where the files of an export are kept, None for the system's default."""
        self._exports, self._registry = exports, registry
        self._temporary_folder, self._timeout_s = temporary_folder, timeout_s
        self._running: Running | None = None

    def poll(self) -> None:
        """Start the next export, or renew the lease of the one that runs, or finish it. Raises Unavailable."""
        if self._running is None:
            self._start()
        elif self._running.child.is_done():
            self._finish(self._running)
        else:
            self._exports.queue.renew(self._running.export.id)

    def stop(self) -> None:
        """Kill the running child; another reconciler makes the export when the lease expires."""
        if self._running is not None:
            self._running.child.end()
            self._exports.queue.give_back(self._running.export.id)
            self._running = None

    def _start(self) -> None:
        claimed = self._exports.queue.claim()
        if claimed is None:
            return None
        export = Export.from_id(claimed[0])
        if claimed[1] > MAX_CLAIMS:
            detail = f"the process that made it died {MAX_CLAIMS} times"
            return self._exports.fail(export, ExportProblem(detail, final=True))
        folder = tempfile.TemporaryDirectory(dir=self._temporary_folder, prefix=EXPORT_PREFIX)
        try:
            child = Child.start(folder, "worker.exporting", lambda path: self._prepare(export, path), self._timeout_s)
            self._running = Running(export, child)
        except (DarkroomError, OSError) as error:
            log.warning("%s cannot be exported: %s", export.id, with_cause(error))
            self._exports.fail(export, ExportProblem(str(error), final=False))

    def _prepare(self, export: Export, folder: Path) -> list[str]:
        """Copy the files of a version to a folder, and return the arguments of the child. Raises NotFound."""
        card = self._registry.card(export.version)
        card.write(folder / CARD_FILE)
        shutil.copyfile(self._registry.network_file(export.version), folder / card.network_file)
        if card.backbone:
            shutil.copyfile(self._registry.head_file(export.version), folder / HEAD_FILE)
        return [str(folder), f"--format={export.format}", f"--out={folder / ZIP}"]

    def _finish(self, running: Running) -> None:
        self._running = None
        try:
            detail = running.child.problem("the export")
            if detail is None:
                self._exports.store(running.export, Path(running.child.folder.name) / ZIP)
            else:
                self._exports.fail(running.export, ExportProblem(detail, final=True))
            log.info("%s: %s", running.export.id, detail or "exported")
        except DarkroomError as error:
            self._exports.fail(running.export, ExportProblem(str(error), final=False))
        finally:
            running.child.end()

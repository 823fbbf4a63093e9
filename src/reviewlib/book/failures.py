"""What went wrong in a papermill run, and in which cell: read from what the run left behind."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reviewlib.book.notebooks import tags
from reviewlib.book.processes import plain

# What papermill prints before each cell.
STARTED = re.compile(r"^Executing Cell (\d+)-+$", re.MULTILINE)
DEAD_KERNEL = 138  # papermill's own exit code for it
FULL = 2**16  # with fewer free bytes than this a disk takes no notebook
TAIL = 12  # lines of a log that are shown when no cell is known


@dataclass(frozen=True)
class Fault:
    """Why a notebook failed.

    Attributes:
        cause: one line.
        cell: position of the failing cell, counted from 1, where it is known.
        traceback: several lines without colors: the cell's traceback, or its source if it has none.
    """

    cause: str
    cell: int | None = None
    traceback: str = ""


@dataclass(frozen=True)
class Run:
    """What there is to read when papermill has ended, or while it runs.

    Attributes:
        notebook: what it was given.
        injected: whether it adds a cell of parameters.
        log: file of what it prints.
        copy: the notebook that it writes.
    """

    notebook: Mapping[str, Any]
    injected: bool
    log: Path
    copy: Path

    def printed(self) -> str:
        """Return what papermill has printed so far, without colors."""
        return plain(self.log.read_text(encoding="utf8", errors="replace"))

    def cell(self) -> int | None:
        """Return the position in the notebook of the cell that was started last."""
        most = len(self.notebook["cells"]) + self.injected
        # a cell may print such a line too
        named = map(int, STARTED.findall(self.printed()))
        started = [position for position in named if 1 <= position <= most]
        if not started:
            return None
        position = started[-1]
        # papermill's own cell stands right after the one that is tagged
        before = ["parameters" in tags(cell) for cell in self.notebook["cells"][: position - 1]]
        return position - (self.injected and any(before))

    def fault(self, code: int | None, cell_seconds: int, seconds: float) -> Fault | None:
        """Return what went wrong, if anything did.

        Args:
            code: papermill's exit code; None if it was killed for taking too long.
            cell_seconds: the limit for a cell.
            seconds: the limit for the notebook.
        """
        # After a dead kernel or a timeout, papermill's copy says "completed" everywhere.
        if code is None:
            return self._here(f"took more than {seconds:g} s")
        if code == DEAD_KERNEL:
            return self._here("the kernel died (out of memory?)")
        printed = self.printed()
        if code and "CellTimeoutError" in printed:
            return self._here(f"the cell took more than {cell_seconds} s")
        if code in (0, 1) and (found := self._in_copy(unrun=code == 0)):
            return found  # with another code papermill was killed, perhaps while it was writing
        if code and shutil.disk_usage(self.copy.parent).free < FULL:
            return self._here(f"no space left on the disk of {self.log.parent}")
        return self._here(f"papermill ended with {code}: {_last(printed)}") if code else None

    def _here(self, cause: str) -> Fault:
        """Return a fault at the cell that was started last, if the kernel came that far."""
        if (cell := self.cell()) is None:
            tail = "\n".join(self.printed().splitlines()[-TAIL:])
            return Fault(f"before the first cell: {cause}", None, tail)
        return Fault(cause, cell, "".join(self.notebook["cells"][cell - 1]["source"]))

    def _in_copy(self, unrun: bool) -> Fault | None:
        """Return the first error that a cell shows; with `unrun`, a cell never run is one too."""
        for position, cell in enumerate(self._own_cells(), 1):
            for output in cell.get("outputs", ()):
                if output["output_type"] == "error":
                    first = (output["evalue"].strip().splitlines() or [""])[0]
                    cause = plain(f"{output['ename']}: {first}" if first else output["ename"])
                    return Fault(cause, position, plain("\n".join(output["traceback"])))
            if unrun and "".join(cell["source"]).strip() and not cell.get("execution_count", 1):
                return Fault("the cell was never run", position, "".join(cell["source"]))
        return None

    def _own_cells(self) -> list[dict[str, Any]]:
        """Return the copy's cells without papermill's own; none if there is no whole copy."""
        added = {"injected-parameters", "papermill-error-cell-tag"}
        try:
            cells = json.loads(self.copy.read_text(encoding="utf8"))["cells"]
        except (OSError, ValueError):
            return []
        return [cell for cell in cells if not added & set(tags(cell))]


def _last(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"

"""Why a notebook failed, and in which cell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TAIL = 12  # lines of a log that are shown when no cell is known


@dataclass(frozen=True)
class Failure:
    """Why a notebook failed.

    Attributes:
        cause: the cause, in one line.
        cell: position of the failing cell, counted from 1; None if it is not known.
        traceback: the cell's traceback, or its source if there is none; plain text.
    """

    cause: str
    cell: int | None = None
    traceback: str = ""

    def located(self, started: int | None, notebook: Mapping[str, Any], log: Path) -> Failure:
        """Return this failure with its cell, which is the last one started if it names none.

        Args:
            started: position of the cell that was started last, counted from 1; None if none was.
            notebook: the notebook that failed, as JSON.
            log: file with the output of its process.
        """
        if self.cell is not None:
            return self
        if started is not None:
            source = "".join(notebook["cells"][started - 1]["source"])
            return Failure(self.cause, started, source)
        printed = without_colors(log.read_text(encoding="utf8", errors="replace"))
        tail = "\n".join(printed.splitlines()[-TAIL:])
        return Failure(f"before the first cell: {self.cause}", None, tail)


def raised(cell: int, name: str, message: str, traceback: Sequence[str]) -> Failure:
    """Return the failure of a cell that raised an exception, given as nbclient reports it."""
    first = (message.strip().splitlines() or [""])[0]
    cause = without_colors(f"{name}: {first}" if first else name)
    return Failure(cause, cell, without_colors("\n".join(traceback)))


def without_colors(text: str) -> str:
    """Return a program's output without terminal color codes."""
    return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)

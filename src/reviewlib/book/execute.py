"""Execute notebooks, several at once, each into a copy under _executed/.

Unchanged notebooks are skipped. A notebook that fails keeps its last good copy.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from reviewlib import storage
from reviewlib.book import freshness, notebooks
from reviewlib.book.failures import Failure
from reviewlib.book.notebooks import CELL_SECONDS, NOTEBOOK_SECONDS
from reviewlib.book.processes import run, sigterm_raises

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
WHOLE_BOOK = "book"  # the name in an outcome of the whole book


@dataclass(frozen=True)
class Outcome:
    """The result or the progress of one notebook.

    Attributes:
        name: the notebook's name, without extension, or WHOLE_BOOK.
        state: waiting or running, then executed, unchanged or failed.
        seconds: wall time of this run; 0 when unchanged.
        cell: position of the running or failing cell, counted from 1, where it is known.
        cells: number of cells.
        cause: why it failed or waits, in one line.
        traceback: traceback of the failing cell, as plain text of several lines.
    """

    name: str
    state: Literal["waiting", "running", "executed", "unchanged", "failed"]
    seconds: float = 0.0
    cell: int | None = None
    cells: int | None = None
    cause: str | None = None
    traceback: str = ""

    @property
    def error(self) -> str | None:
        """One line that names the notebook, the cell and the cause, if it failed."""
        if self.state != "failed":
            return None
        what = self.name if self.name == WHOLE_BOOK else f"notebook {self.name}"
        where = "" if self.cell is None else f", cell {self.cell}"
        return f"{what}{where}: {self.cause}"


Report = Callable[[Outcome], None]


def execute(
    root: Path,
    names: Iterable[str] | None = None,
    *,
    jobs: int = 2,
    parameters: Mapping[str, str] | None = None,
    force: bool = False,
    cell_seconds: int = CELL_SECONDS,
    seconds: float = NOTEBOOK_SECONDS,
    report: Report | None = None,
) -> list[Outcome]:
    """Execute the notebooks that changed; a failure does not stop the others.

    Args:
        root: folder of the book.
        names: notebooks to run; None for all.
        jobs: how many run at once.
        parameters: values for the notebooks' parameters cells; Python literals, or text.
        force: run unchanged ones too.
        cell_seconds: time limit of one cell.
        seconds: time limit of one notebook.
        report: called with an outcome at each step of a notebook, from several threads.

    Raises:
        ValueError: a name or a parameter is unknown; raised before anything runs.
        OSError: _executed/ cannot be written or has no room; raised before anything runs.
    """
    root, parameters = Path(root).resolve(), dict(parameters or {})
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    tell = report or (lambda outcome: None)
    paths = notebooks.select(root / "notebooks", names)
    sources, outcomes = {}, {}
    for path in paths:
        try:
            sources[path] = notebooks.read(path)
        except ValueError as error:
            outcomes[path] = Outcome(path.stem, "failed", cause=str(error))
        else:
            notebooks.check(path.stem, sources[path], parameters)
    out, changed = root / "_executed", {}
    with alone(root, tell):
        for path, source in sources.items():
            key = freshness.of_notebook(path.stem, source, parameters)
            if force or not notebooks.holds(out / path.name, key):
                changed[path] = source, key
            else:
                outcomes[path] = Outcome(path.stem, "unchanged", cells=len(source["cells"]))
        for outcome in outcomes.values():
            tell(outcome)
        if changed:
            runner = _Runner(out, parameters, cell_seconds, seconds, tell)
            outcomes |= runner.run(changed, jobs)
    return [outcomes[path] for path in paths]


@contextmanager
def alone(root: Path, report: Report) -> Iterator[None]:
    """Lock the book's folder, and wait while another process holds the lock. May be nested.

    Raises:
        OSError: _executed/ cannot be written or has no room.
    """
    out = root / "_executed"
    storage.require_room(out, "executed notebooks go")
    try:
        lock = FileLock(out / ".lock", is_singleton=True)  # released if its process dies
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report(Outcome(WHOLE_BOOK, "waiting", cause="waiting for another build of this tree"))
            lock.acquire()
    except OSError as error:
        raise OSError(f"{out} must be writable: {error}") from error
    try:
        yield
    finally:
        lock.release()


def last_runs(root: Path) -> dict[str, dict[str, Any]]:
    """Return seconds, end (ISO 8601, UTC) and cells of each notebook's last successful run."""
    try:
        return dict(json.loads((root / "_executed" / "times.json").read_text()))
    except (OSError, ValueError, TypeError):
        return {}


@dataclass(frozen=True)
class _Runner:
    """Runs notebooks with the same parameters and limits."""

    out: Path
    parameters: Mapping[str, str]
    cell_seconds: int
    seconds: float
    tell: Report
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, changed: Mapping[Path, tuple[dict, str]], jobs: int) -> dict[Path, Outcome]:
        """Run notebooks, each given as (notebook, key) by its path, `jobs` at once."""
        outcomes: dict[Path, Outcome] = {}
        with sigterm_raises(), ThreadPoolExecutor(jobs) as pool:
            try:
                _warm_font_cache()
                futures = {pool.submit(self._one, path, *of): path for path, of in changed.items()}
                for future in as_completed(futures):
                    outcomes[futures[future]] = future.result()
                    self._note(future.result())
            except BaseException:
                self.stop.set()  # notebooks that wait in the pool return at once
                raise
        return outcomes

    def _one(self, path: Path, notebook: dict[str, Any], key: str) -> Outcome:
        """Run one notebook; replace its executed copy if it succeeds."""
        name, cells, start = path.stem, len(notebook["cells"]), time.monotonic()
        cell: int | None = None
        result: str | Failure | None = None

        def hear(message: int | str | Failure) -> None:
            nonlocal cell, result
            if isinstance(message, int):
                cell = message
                self.tell(Outcome(name, "running", time.monotonic() - start, cell, cells))
            else:
                result = message

        self.tell(Outcome(name, "running", cells=cells))
        job = json.dumps([str(path), dict(self.parameters), self.cell_seconds])
        command = [sys.executable, "-m", "reviewlib.book.worker", job]
        log = self.out / f"{name}.log"
        try:
            code = run(command, log, self.seconds, ENVIRONMENT, hear, self.stop)
            if isinstance(result, str):
                text = notebooks.cleaned(result, key, self.parameters)
                storage.write(self.out / path.name, text)
                return Outcome(name, "executed", time.monotonic() - start, cells=cells)
            if result is None:
                late, ended = f"took more than {self.seconds:g} s", f"its process ended with {code}"
                result = Failure(late if code is None else ended)
            failure = result.located(cell, notebook, log)
        except OSError as error:
            failure = Failure(f"cannot write to {self.out}: {error}", cell)
        how = failure.cell, cells, failure.cause, failure.traceback
        return Outcome(name, "failed", time.monotonic() - start, *how)

    def _note(self, outcome: Outcome) -> None:
        """Report an outcome, and store how long a successful run took."""
        self.tell(outcome)
        if outcome.state == "executed":
            now = datetime.now(UTC).isoformat(timespec="seconds")
            run = {"seconds": round(outcome.seconds, 1), "finished": now, "cells": outcome.cells}
            runs = last_runs(self.out.parent) | {outcome.name: run}
            text = json.dumps(runs, indent=1, sort_keys=True) + "\n"
            with suppress(OSError):  # it only estimates how long the next run takes
                storage.write(self.out / "times.json", text)


def _warm_font_cache() -> None:
    """Build matplotlib's font cache, since a kernel that builds it prints a note into the page."""
    command = [sys.executable, "-c", "import matplotlib.font_manager"]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)

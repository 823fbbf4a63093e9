"""Run the chapters with papermill, several at once, each into a copy under _executed/.

What did not change is not run again, and a notebook that fails keeps its last good copy.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from reviewlib import storage
from reviewlib.book import failures, freshness, notebooks
from reviewlib.book.notebooks import CELL_SECONDS, NOTEBOOK_SECONDS
from reviewlib.book.processes import Children, sigterm_raises

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
BOOK = "book"  # the name of what is made from all notebooks


@dataclass(frozen=True)
class Outcome:
    """What became of one notebook, or how far it is.

    Attributes:
        name: the notebook's name, without extension, or BOOK.
        state: waiting or running, then executed, unchanged or failed.
        seconds: wall time of this run; 0 when unchanged.
        cell: position of the running or failing cell, counted from 1, where it is known.
        cells: how many there are.
        cause: why it failed or waits, in one line.
        traceback: of the failing cell, plain text of several lines.
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
        what = self.name if self.name == BOOK else f"notebook {self.name}"
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
    """Run notebooks that changed into _executed/, several at once; a failed one stops no other.

    Args:
        root: folder of the book.
        names: notebooks to run; None for all.
        jobs: how many run at once.
        parameters: values for the notebooks' parameters cells, converted as papermill's `-p`
            does ("3" becomes 3).
        force: run unchanged ones too.
        cell_seconds: the most that one cell may take.
        seconds: the most that one notebook may take.
        report: called, perhaps from several threads, whenever a notebook has got further.

    Raises:
        ValueError: a name or a parameter is unknown; nothing has been run then.
        OSError: _executed/ cannot be written or has no room; nothing has been run then.
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
        runner = _Runner(out, parameters, cell_seconds, seconds, tell, Children())
        outcomes |= runner.run(changed, jobs)
    return [outcomes[path] for path in paths]


@contextmanager
def alone(root: Path, report: Report) -> Iterator[None]:
    """Keep other runners off a tree; wait for one that is there. May be nested.

    Raises:
        OSError: _executed/ cannot be written or has no room.
    """
    out = root / "_executed"
    storage.require_room(out, "executed notebooks go")
    try:
        lock = FileLock(out / ".lock", is_singleton=True)  # goes with the process that holds it
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report(Outcome(BOOK, "waiting", cause="waiting for another build of this tree"))
            lock.acquire()
    except OSError as error:
        raise OSError(f"{out} must be writable: {error}") from error
    try:
        yield
    finally:
        lock.release()


def last_runs(root: Path) -> dict[str, dict[str, Any]]:
    """Return seconds, end (ISO, UTC) and number of cells of each notebook's last good run."""
    try:
        return dict(json.loads((root / "_executed" / "times.json").read_text()))
    except (OSError, ValueError, TypeError):
        return {}


@dataclass(frozen=True)
class _Runner:
    """Runs notebooks into a folder under one set of limits."""

    out: Path
    parameters: Mapping[str, str]
    cell_seconds: int
    seconds: float
    tell: Report
    children: Children

    def run(self, changed: Mapping[Path, tuple[dict, str]], jobs: int) -> dict[Path, Outcome]:
        """Run notebooks, given with their keys, several at once."""
        outcomes: dict[Path, Outcome] = {}
        if not changed:
            return outcomes
        with sigterm_raises(), ThreadPoolExecutor(jobs) as pool:
            _warm_font_cache()
            futures = {}
            try:
                futures |= {pool.submit(self._one, path, *of): path for path, of in changed.items()}
                for future in as_completed(futures):
                    outcomes[futures[future]] = future.result()
                    self._note(future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.children.stop()
                raise
        return outcomes

    def _one(self, path: Path, notebook: dict[str, Any], key: str) -> Outcome:
        """Run one notebook; replace its executed copy if all went well."""
        name, cells, start = path.stem, len(notebook["cells"]), time.monotonic()
        try:
            with tempfile.TemporaryDirectory(dir=self.out, prefix=f".{name}.") as folder:
                fault = self._attempt(path, notebook, key, Path(folder, path.name))
        except (OSError, ValueError) as error:
            fault = failures.Fault(str(error))
        seconds = time.monotonic() - start
        if fault is None:
            return Outcome(name, "executed", seconds, cells=cells)
        return Outcome(name, "failed", seconds, fault.cell, cells, fault.cause, fault.traceback)

    def _attempt(
        self, path: Path, notebook: dict[str, Any], key: str, copy: Path
    ) -> failures.Fault | None:
        """Have papermill write a copy and put it in place, or return what went wrong."""
        log = self.out / f"{path.stem}.log"
        run = failures.Run(notebook, bool(self.parameters), log, copy)
        cells, start = len(notebook["cells"]), time.monotonic()

        def watch() -> None:
            spent = time.monotonic() - start
            self.tell(Outcome(path.stem, "running", spent, run.cell(), cells))

        self.tell(Outcome(path.stem, "running", cells=cells))
        command = _papermill(path, copy, self.parameters, self.cell_seconds)
        code = self.children.run(command, log, self.seconds, ENVIRONMENT, watch)
        fault = run.fault(code, self.cell_seconds, self.seconds)
        if fault is None:
            storage.write(self.out / path.name, notebooks.cleaned(copy, key, self.parameters))
        return fault

    def _note(self, outcome: Outcome) -> None:
        """Report an outcome, and keep how long a good run took."""
        self.tell(outcome)
        if outcome.state == "executed":
            now = datetime.now(UTC).isoformat(timespec="seconds")
            run = {"seconds": round(outcome.seconds, 1), "finished": now, "cells": outcome.cells}
            runs = last_runs(self.out.parent) | {outcome.name: run}
            text = json.dumps(runs, indent=1, sort_keys=True) + "\n"
            with suppress(OSError):  # an estimate for the next time is worth no failure
                storage.write(self.out / "times.json", text)


def _papermill(
    path: Path, copy: Path, parameters: Mapping[str, str], cell_seconds: int
) -> list[str]:
    command = [sys.executable, "-m", "papermill", str(path), str(copy), "--cwd", str(path.parent)]
    command += ["-k", "python3", "--no-progress-bar", "--log-output", "--start-timeout", "120"]
    command += ["--execution-timeout", str(cell_seconds)]
    for name, value in parameters.items():
        command += ["-p", name, value]
    return command


def _warm_font_cache() -> None:
    """Build matplotlib's font cache now: the first kernel to do it would say so in the page."""
    command = [sys.executable, "-c", "import matplotlib.font_manager"]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)

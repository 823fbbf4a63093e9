"""Build the book from what the notebooks gave; a build that fails keeps the last good one."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from reviewlib import digests, execution, sitecheck
from reviewlib.processes import Children, sigterm_raises

BOOK_SECONDS = 600


class BuildError(RuntimeError):
    """The book was not built; the message names every cause."""


def build(
    root: Path,
    *,
    jobs: int = 2,
    parameters: Mapping[str, str] | None = None,
    force: bool = False,
    report: execution.Report | None = None,
) -> Path:
    """Run what changed, build the book cleanly, check the site; return its index.html.

    The build is skipped when nothing that it reads has changed.

    Raises:
        BuildError: a notebook failed, Sphinx warned, or a page has a fault. The last good
            _build/html is untouched; a failing build is left in _build.failed.
        ValueError: a parameter is unknown.
    """
    root = Path(root).resolve()
    tell = report or (lambda name, state, detail: None)
    outcomes = execution.execute(root, jobs=jobs, parameters=parameters, force=force, report=report)
    if failed := [outcome for outcome in outcomes if outcome.state == "failed"]:
        raise BuildError("\n".join(outcome.error for outcome in failed))

    site = root / "_build" / "html"
    index, stamp = site / "index.html", site / ".inputs"
    inputs = digests.of_book(root)
    if not force and index.exists() and stamp.exists() and stamp.read_text() == inputs:
        tell("book", "unchanged", "")
        return index

    tell("book", "running", "")
    start = time.monotonic()
    work, failing = root / "_build" / "next", root / "_build.failed"
    for folder in (work, failing):
        shutil.rmtree(folder, ignore_errors=True)
    work.mkdir(parents=True)
    fresh = work / "_build" / "html"
    if faults := _sphinx(root, work) or sitecheck.faults(fresh):
        work.rename(failing)
        tell("book", "failed", f"{len(faults)} faults")
        lines = "\n".join(faults)
        raise BuildError(f"the book has faults; the failing build is in {failing.name}\n{lines}")
    (fresh / ".inputs").write_text(inputs)
    _swap(fresh, site)
    shutil.rmtree(work, ignore_errors=True)
    tell("book", "executed", f"{time.monotonic() - start:.0f} s")
    return index


def _sphinx(root: Path, work: Path) -> list[str]:
    """Build the book into a folder; return what Sphinx complained about, one line a fault."""
    program = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "build", str(root), "--path-output", str(work)]
    command += ["-W", "-n", "--keep-going"]
    log = work / "build.log"
    with sigterm_raises():
        code = Children().run(command, log, BOOK_SECONDS)
    if code is None:
        return [f"jupyter-book took more than {BOOK_SECONDS} s"]
    if code == 0:
        return []
    text = log.read_text(encoding="utf8", errors="replace")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).replace(f"{root}{os.sep}", "").splitlines()
    marks = ("WARNING:", "ERROR:", "CRITICAL:", "Error:")
    faults = [line for line in lines if any(mark in line for mark in marks)]
    last = next((line for line in reversed(lines) if line.strip()), "no output")
    return faults or [f"jupyter-book ended with {code}: {last}"]


def _swap(fresh: Path, site: Path) -> None:
    """Put a new site in the place of the old one."""
    old = site.with_name("html.old")
    shutil.rmtree(old, ignore_errors=True)
    if site.exists():
        site.rename(old)
    fresh.rename(site)
    shutil.rmtree(old, ignore_errors=True)

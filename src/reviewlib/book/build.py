"""Build the book from the executed notebooks; a failed build leaves the last good one in place."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from reviewlib.book import check_site, execute, freshness
from reviewlib.book.execute import WHOLE_BOOK, Outcome
from reviewlib.book.failures import without_colors
from reviewlib.book.processes import run, sigterm_raises

BOOK_SECONDS = 600


class BuildError(RuntimeError):
    """The book was not built; the message names every cause."""


def build(
    root: Path,
    names: Iterable[str] | None = None,
    *,
    force: bool = False,
    report: execute.Report | None = None,
    render: Callable[[Path, Path], list[str]] | None = None,
    **options: Any,
) -> Path:
    """Execute what changed, build the book, check the site; return its index.html.

    The book is built from scratch, or not at all if nothing that it reads has changed.

    Args:
        root: folder of the book.
        names: notebooks to run; the other pages stay as they are. None for all.
        force: execute and build even if nothing has changed.
        report: called with the outcome of each notebook, and of the book.
        render: function that builds the pages of one folder into another and returns their
            problems, one line each; `sphinx` by default.
        options: the other options of `execute.execute`.

    Raises:
        BuildError: a notebook failed, Sphinx warned, or a page has a problem. The last good
            _build/html is untouched; a failing build is left in _build.failed.
        ValueError: a name or a parameter is unknown.
    """
    root = Path(root).resolve()
    tell = report or (lambda outcome: None)
    with execute.alone(root, tell):
        outcomes = execute.execute(root, names, force=force, report=report, **options)
        if failed := [outcome for outcome in outcomes if outcome.state == "failed"]:
            raise BuildError("\n".join(outcome.error for outcome in failed))
        return _book(root, force, tell, render or sphinx)


def _book(
    root: Path, force: bool, tell: execute.Report, render: Callable[[Path, Path], list[str]]
) -> Path:
    """Build the book from the executed copies, unless it is up to date."""
    site = root / "_build" / "html"
    index, stamp = site / "index.html", site / ".inputs"
    _recover(site)
    inputs = freshness.of_book(root)
    if not force and index.exists() and stamp.exists() and stamp.read_text() == inputs:
        tell(Outcome(WHOLE_BOOK, "unchanged"))
        return index

    tell(Outcome(WHOLE_BOOK, "running"))
    start = time.monotonic()
    work, failing = root / "_build" / "next", root / "_build.failed"
    for folder in (work, failing):
        shutil.rmtree(folder, ignore_errors=True)
    work.mkdir(parents=True)
    fresh = work / "_build" / "html"
    if problems := render(root, work) or check_site.problems(fresh):
        work.rename(failing)
        cause = f"the book has problems; the failing build is in {failing.name}"
        lines, seconds = "\n".join(problems), time.monotonic() - start
        tell(Outcome(WHOLE_BOOK, "failed", seconds, cause=cause, traceback=lines))
        raise BuildError(f"{cause}\n{lines}")
    (fresh / ".inputs").write_text(inputs)
    _swap(fresh, site)
    shutil.rmtree(work, ignore_errors=True)
    tell(Outcome(WHOLE_BOOK, "executed", time.monotonic() - start))
    return index


def sphinx(root: Path, work: Path) -> list[str]:
    """Build the book of one folder into another; return Sphinx's warnings, one line each."""
    program = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "build", str(root), "--path-output", str(work)]
    command += ["-W", "-n", "--keep-going"]
    log = work / "build.log"
    with sigterm_raises():
        code = run(command, log, BOOK_SECONDS)
    return warnings(code, log.read_text(encoding="utf8", errors="replace"), root)


def warnings(code: int | None, printed: str, root: Path) -> list[str]:
    """Return what made jupyter-book fail, one line each.

    Args:
        code: its exit code, None if it was killed for taking too long.
        printed: everything that it printed.
        root: folder of the book, which is removed from the paths.
    """
    if code is None:
        return [f"jupyter-book took more than {BOOK_SECONDS} s"]
    if code == 0:
        return []
    lines = without_colors(printed).replace(f"{root}{os.sep}", "").splitlines()
    marks = ("WARNING:", "ERROR:", "CRITICAL:", "Error:")
    found = [line for line in lines if any(mark in line for mark in marks)]
    last = next((line for line in reversed(lines) if line.strip()), "no output")
    return found or [f"jupyter-book ended with {code}: {last}"]


def _swap(fresh: Path, site: Path) -> None:
    """Replace the old site with a new one."""
    old = _previous(site)
    shutil.rmtree(old, ignore_errors=True)
    if site.exists():
        site.rename(old)
    fresh.rename(site)
    shutil.rmtree(old, ignore_errors=True)


def _recover(site: Path) -> None:
    """Put the old site back if a build was killed in the middle of `_swap`."""
    if not site.exists() and _previous(site).exists():
        _previous(site).rename(site)


def _previous(site: Path) -> Path:
    return site.with_name("html.old")

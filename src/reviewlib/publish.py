"""Build the book from what the notebooks gave; a build that fails keeps the last good one."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reviewlib import digests, execution, sitecheck
from reviewlib.execution import BOOK, Outcome
from reviewlib.processes import Children, plain, sigterm_raises

BOOK_SECONDS = 600


class BuildError(RuntimeError):
    """The book was not built; the message names every cause."""


def build(
    root: Path,
    names: Iterable[str] | None = None,
    *,
    force: bool = False,
    report: execution.Report | None = None,
    **options: Any,
) -> Path:
    """Run what changed, build the book cleanly, check the site; return its index.html.

    The build is skipped when nothing that it reads has changed.

    Args:
        root: folder of the book.
        names: notebooks to run; the pages of others keep what they show. None for all.
        force: run and build even where nothing has changed.
        report: called with the outcome of each notebook, and of the book.
        options: of `execution.execute`.

    Raises:
        BuildError: a notebook failed, Sphinx warned, or a page has a fault. The last good
            _build/html is untouched; a failing build is left in _build.failed.
        ValueError: a name or a parameter is unknown.
    """
    root = Path(root).resolve()
    tell = report or (lambda outcome: None)
    with execution.alone(root, tell):
        outcomes = execution.execute(root, names, force=force, report=report, **options)
        if failed := [outcome for outcome in outcomes if outcome.state == "failed"]:
            raise BuildError("\n".join(outcome.error for outcome in failed))
        return _book(root, force, tell)


def _book(root: Path, force: bool, tell: execution.Report) -> Path:
    """Build the book from the executed copies, unless it stands already."""
    site = root / "_build" / "html"
    index, stamp = site / "index.html", site / ".inputs"
    _recover(site)
    inputs = digests.of_book(root)
    if not force and index.exists() and stamp.exists() and stamp.read_text() == inputs:
        tell(Outcome(BOOK, "unchanged"))
        return index

    tell(Outcome(BOOK, "running"))
    start = time.monotonic()
    work, failing = root / "_build" / "next", root / "_build.failed"
    for folder in (work, failing):
        shutil.rmtree(folder, ignore_errors=True)
    work.mkdir(parents=True)
    fresh = work / "_build" / "html"
    if faults := _sphinx(root, work) or sitecheck.faults(fresh):
        work.rename(failing)
        cause = f"the book has faults; the failing build is in {failing.name}"
        lines, seconds = "\n".join(faults), time.monotonic() - start
        tell(Outcome(BOOK, "failed", seconds, cause=cause, traceback=lines))
        raise BuildError(f"{cause}\n{lines}")
    (fresh / ".inputs").write_text(inputs)
    _swap(fresh, site)
    shutil.rmtree(work, ignore_errors=True)
    tell(Outcome(BOOK, "executed", time.monotonic() - start))
    return index


def build_on(
    root: Path,
    data_name: str,
    names: Iterable[str] | None = None,
    *,
    parameters: Mapping[str, str] | None = None,
    **options: Any,
) -> Path:
    """Build a private book on other data, from the chapters that have evidence there.

    It has a folder of its own, _build/private/NAME, with copies of the sources; the book itself is
    not touched. Nothing is skipped: finished runs come from the cache.

    Args:
        root: folder of the book.
        data_name: as `data.load` accepts it.
        names: as for `build`.
        parameters: values for the notebooks' parameters cells.
        options: `build`'s others.

    Raises:
        BuildError: the data cannot be read, no chapter has evidence on them, or as for `build`.
        ValueError: a name or a parameter is unknown.
    """
    from reviewlib import compare, data, records, study

    try:
        dataset = data.load(data_name)
    except (data.DataError, ImportError) as error:
        raise BuildError(str(error)) from error
    ready, missing = [], []
    for name in study.found():
        of, folder = compare.on_data(study.find(name), dataset.name)
        try:
            records.best(of, folder, dataset.name)
            ready.append(name)
        except records.RecordError as error:
            missing.append(str(error))
    if not ready:
        raise BuildError("\n".join(missing))
    private = root / "_build" / "private" / records.folder_on(dataset).name
    private.mkdir(parents=True, exist_ok=True)
    given = {**(parameters or {}), "data": dataset.name}
    with execution.alone(private, options.get("report") or (lambda outcome: None)):
        _copy_sources(root, private, ready, dataset.name)
        return build(private, names, parameters=given, **options | {"force": True})


def _copy_sources(root: Path, private: Path, chapters: Sequence[str], data_name: str) -> None:
    """Copy what a book with these chapters is made from, and write down the data that it is on."""
    import yaml

    for name in ("book", "notebooks"):
        shutil.rmtree(private / name, ignore_errors=True)
    shutil.copytree(root / "book", private / "book")
    (private / "notebooks").mkdir()
    shutil.copy(root / "_toc.yml", private)
    for name in chapters:
        shutil.copy(root / "notebooks" / f"{name}.ipynb", private / "notebooks")
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf8"))
    config["sphinx"]["config"]["other_data"] = data_name
    (private / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf8")


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
    text = plain(log.read_text(encoding="utf8", errors="replace"))
    lines = text.replace(f"{root}{os.sep}", "").splitlines()
    marks = ("WARNING:", "ERROR:", "CRITICAL:", "Error:")
    faults = [line for line in lines if any(mark in line for mark in marks)]
    last = next((line for line in reversed(lines) if line.strip()), "no output")
    return faults or [f"jupyter-book ended with {code}: {last}"]


def _swap(fresh: Path, site: Path) -> None:
    """Put a new site in the place of the old one."""
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

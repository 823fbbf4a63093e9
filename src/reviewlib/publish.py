"""Run the chapters with papermill, and build the book from what came out.

What did not change is not run again, and what failed never replaces what worked: a notebook whose
run fails keeps its last good copy under _executed/, a book that fails keeps the last good
_build/html.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from reviewlib import sitecheck

PACKAGE = Path(__file__).parent
# Modules that shape the command line and the site, but no output of a notebook.
OUTSIDE_NOTEBOOKS = {"bookext.py", "cli.py", "pairing.py", "publish.py", "sitecheck.py"}
NUMERICAL = ("torch", "numpy", "pandas", "scipy", "matplotlib", "seaborn")
BOOK_TOOLS = ("jupyter-book", "Sphinx", "myst-nb", "sphinx-book-theme")

# A chapter is meant to take 45 CPU-seconds; these only end what hangs.
CELL_SECONDS = 1800
NOTEBOOK_SECONDS = 3600
BOOK_SECONDS = 600

Report = Callable[[str, str, str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one notebook.

    Attributes:
        name: the notebook's name, without extension.
        state: executed, unchanged or failed.
        seconds: wall time of this run; 0 when unchanged.
        error: one line, for a failed one.
        cell: position of the failing cell, counted from 1, where it is known.
    """

    name: str
    state: Literal["executed", "unchanged", "failed"]
    seconds: float = 0.0
    error: str | None = None
    cell: int | None = None


class BuildError(RuntimeError):
    """The book was not built; the message names every cause."""


def execute(
    root: Path,
    names: Iterable[str] | None = None,
    *,
    jobs: int = 2,
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
    report: Report | None = None,
    cell_seconds: float = CELL_SECONDS,
    notebook_seconds: float = NOTEBOOK_SECONDS,
) -> list[Outcome]:
    """Run notebooks that changed into _executed/, several at once; a failed one stops no other.

    Args:
        root: folder of the book.
        names: notebooks to run; None for all.
        jobs: how many run at once.
        parameters: values for the notebooks' parameters cells; text is converted as papermill's
            `-p` does ("3" becomes 3).
        force: run unchanged ones too.
        report: called with (name, state, detail) as things happen, from the running threads;
            states are "running" and those of Outcome.
        cell_seconds: limit for one cell.
        notebook_seconds: limit for one notebook.

    Raises:
        ValueError: a name or a parameter is unknown; nothing has been run then.
    """
    root, parameters = Path(root).resolve(), dict(parameters or {})
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    paths = _select(root, names)
    for path in paths:
        known = parameters_of(_read(path))
        if unknown := sorted(set(parameters) - known):
            raise ValueError(
                f"notebook {path.stem} has no parameter {', '.join(map(repr, unknown))}; "
                f"it has {', '.join(sorted(known)) or 'none'}"
            )
    tell = report or (lambda name, state, detail: None)
    runner = _Runner(root, parameters, cell_seconds, notebook_seconds, tell)
    outcomes: dict[str, Outcome] = {}
    changed = []
    for path in paths:
        key = _key(path, parameters)
        if not force and _stored_key(root / "_executed" / path.name) == key:
            outcomes[path.stem] = Outcome(path.stem, "unchanged")
            tell(path.stem, "unchanged", "")
        else:
            changed.append((path, key))
    if changed:
        (root / "_executed").mkdir(exist_ok=True)
        _warm_font_cache()
        with _sigterm_raises(), ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(runner.run, path, key) for path, key in changed]
            try:
                for future in futures:
                    outcome = future.result()
                    outcomes[outcome.name] = outcome
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                runner.stop()
                raise
    return [outcomes[path.stem] for path in paths]


def build(
    root: Path,
    *,
    jobs: int = 2,
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
    report: Report | None = None,
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
    outcomes = execute(root, jobs=jobs, parameters=parameters, force=force, report=report)
    if failed := [outcome for outcome in outcomes if outcome.state == "failed"]:
        raise BuildError("\n".join(outcome.error or outcome.name for outcome in failed))

    site = root / "_build" / "html"
    index, stamp = site / "index.html", site / ".inputs"
    inputs = _inputs(root)
    if not force and index.exists() and stamp.exists() and stamp.read_text() == inputs:
        tell("book", "unchanged", "")
        return index

    tell("book", "running", "")
    start = time.monotonic()
    work, failing = root / "_build" / "next", root / "_build.failed"
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(failing, ignore_errors=True)
    work.mkdir(parents=True)
    faults = _sphinx(root, work)
    fresh = work / "_build" / "html"
    if not faults:
        faults = sitecheck.faults(fresh)
    if faults:
        work.rename(failing)
        tell("book", "failed", f"{len(faults)} faults")
        lines = "\n".join(faults)
        raise BuildError(f"the book has faults; the failing build is in {failing.name}\n{lines}")
    (fresh / ".inputs").write_text(inputs)
    old = root / "_build" / "html.old"
    shutil.rmtree(old, ignore_errors=True)
    if site.exists():
        site.rename(old)
    fresh.rename(site)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)
    tell("book", "executed", f"{time.monotonic() - start:.0f} s")
    return index


def parameters_of(notebook: Mapping[str, Any]) -> set[str]:
    """Return the names that the cell tagged `parameters` assigns."""
    for cell in notebook["cells"]:
        if "parameters" in _tags(cell):
            targets = []
            for statement in ast.parse(_source(cell)).body:
                if isinstance(statement, ast.Assign):
                    targets += statement.targets
                elif isinstance(statement, ast.AnnAssign):
                    targets.append(statement.target)
            return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()


class _Runner:
    """Runs notebooks in subprocesses, and can end all of them."""

    def __init__(
        self,
        root: Path,
        parameters: Mapping[str, Any],
        cell_seconds: float,
        notebook_seconds: float,
        tell: Report,
    ) -> None:
        self.out = root / "_executed"
        self.parameters = parameters
        self.cell_seconds = cell_seconds
        self.notebook_seconds = notebook_seconds
        self.tell = tell
        self.running: set[subprocess.Popen[bytes]] = set()
        self.stopped = False
        self.lock = threading.Lock()

    def run(self, path: Path, key: str) -> Outcome:
        """Run one notebook; replace its executed copy if all went well."""
        name, start = path.stem, time.monotonic()
        self.tell(name, "running", "")
        log = self.out / f"{name}.log"
        with tempfile.TemporaryDirectory(dir=self.out, prefix=f".{name}.") as folder:
            copy = Path(folder, path.name)
            code = self._papermill(path, copy, log)
            seconds = time.monotonic() - start
            error, cell = self._diagnose(path, copy, log, code)
            if error is None:
                done = _read(copy)
                _clean(done, {"key": key, "parameters": dict(self.parameters)})
                _write(copy, done)
                os.replace(copy, self.out / path.name)
        if error is None:
            self.tell(name, "executed", f"{seconds:.1f} s")
            return Outcome(name, "executed", seconds)
        where = "" if cell is None else f", cell {cell}"
        line = f"notebook {name}{where}: {error} (log: _executed/{log.name})"
        self.tell(name, "failed", line)
        return Outcome(name, "failed", seconds, line, cell)

    def stop(self) -> None:
        """End everything that runs; nothing starts afterwards."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                _kill(process)

    def _papermill(self, path: Path, copy: Path, log: Path) -> int | str:
        """Return papermill's exit code, or the name of the limit that was hit."""
        command = [sys.executable, "-m", "papermill", str(path), str(copy)]
        command += ["-k", "python3", "--no-progress-bar", "--log-output", "--start-timeout", "120"]
        # papermill reads whole seconds
        command += ["--execution-timeout", str(max(1, round(self.cell_seconds)))]
        command += ["--cwd", str(path.parent)]
        command += _parameter_options(self.parameters)
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }
        with log.open("wb") as sink:
            with self.lock:
                if self.stopped:
                    return "stopped"
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    process_group=0,
                )
                self.running.add(process)
            try:
                return process.wait(self.notebook_seconds)
            except subprocess.TimeoutExpired:
                _kill(process)
                return f"took more than {self.notebook_seconds:g} s"
            finally:
                process.wait()
                with self.lock:
                    self.running.discard(process)

    def _diagnose(
        self, path: Path, copy: Path, log: Path, code: int | str
    ) -> tuple[str | None, int | None]:
        """Return (what went wrong in one line or None, position of the cell or None)."""
        lines = log.read_text(encoding="utf8", errors="replace").splitlines()
        if code != 0 and any("CellTimeoutError" in line for line in lines):
            cause = f"the cell took more than {self.cell_seconds:g} s"
            return cause, self._last_started(path, lines)
        cells = _own_cells(_read(copy)) if copy.exists() else []
        for position, cell in enumerate(cells, 1):
            for output in cell.get("outputs", ()):
                if output["output_type"] == "error":
                    value = (output["evalue"].strip().splitlines() or [""])[0]
                    return f"{output['ename']}: {value}", position
        # A dead kernel or a timeout leaves a copy that says "completed" everywhere.
        if code != 0:
            return _cause(code, lines), self._last_started(path, lines)
        for position, cell in enumerate(cells, 1):
            if cell["cell_type"] == "code" and _source(cell).strip():
                if cell["execution_count"] is None:
                    return "the cell was never run", position
        return None, None

    def _last_started(self, path: Path, log: list[str]) -> int | None:
        """Return the position in the notebook of the cell that papermill started last."""
        started = [line for line in log if line.startswith("Executing Cell ")]
        if not started:
            return None
        position = int(started[-1].split()[2].rstrip("-"))
        tagged = [i for i, c in enumerate(_read(path)["cells"], 1) if "parameters" in _tags(c)]
        # papermill counts the cell that it injects after the tagged one
        injected = bool(self.parameters) and bool(tagged) and position > tagged[0]
        return position - injected


def _cause(code: int | str, log: list[str]) -> str:
    if isinstance(code, str):
        return code
    if code == 138:  # papermill's own code for it
        return "the kernel died (out of memory?)"
    last = next((line for line in reversed(log) if line.strip()), "no output")
    return f"papermill ended with {code}: {last.strip()}"


def _own_cells(notebook: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the cells that the notebook had before papermill added its own."""
    added = {"injected-parameters", "papermill-error-cell-tag"}
    return [cell for cell in notebook["cells"] if not added & set(_tags(cell))]


def _clean(notebook: dict[str, Any], stamp: dict[str, Any]) -> None:
    """Drop what differs between two equal runs, and hide the cell that papermill injected."""
    for cell in notebook["cells"]:
        for key in ("papermill", "execution"):
            cell["metadata"].pop(key, None)
        if not _tags(cell):
            cell["metadata"].pop("tags", None)
        if "injected-parameters" in _tags(cell):
            cell["id"] = "injected"
            cell["metadata"]["tags"] = ["injected-parameters", "remove-cell"]
    notebook["metadata"].pop("papermill", None)
    notebook["metadata"]["reviewlib"] = stamp


def _key(path: Path, parameters: Mapping[str, Any]) -> str:
    """Return the digest of everything that a notebook's outputs follow from."""
    facts = {
        "cells": [(c["cell_type"], _source(c), _tags(c)) for c in _read(path)["cells"]],
        "parameters": dict(parameters),
        "preset": os.environ.get("REVIEWLIB_PRESET"),
        "python": sys.version_info[:2],
        "versions": _versions(NUMERICAL),
        "package": _digest_files(
            PACKAGE, (p for p in _files(PACKAGE) if p.name not in OUTSIDE_NOTEBOOKS)
        ),
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _stored_key(copy: Path) -> str | None:
    if not copy.exists():
        return None
    try:
        return _read(copy)["metadata"]["reviewlib"]["key"]
    except (ValueError, KeyError):
        return None


def _inputs(root: Path) -> str:
    """Return the digest of everything that the built site follows from."""
    folders = [root / "book", root / "notebooks", root / "_executed"]
    files = [root / "_config.yml", root / "_toc.yml"]
    for folder in folders:
        files += (p for p in _files(folder) if p.suffix != ".log")
    facts = {
        "files": _digest_files(root, (path for path in files if path.exists())),
        "package": _digest_files(PACKAGE, _files(PACKAGE)),
        "repository": os.environ.get("GITHUB_REPOSITORY"),
        "versions": _versions(BOOK_TOOLS),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _sphinx(root: Path, work: Path) -> list[str]:
    """Build the book into a folder; return what Sphinx complained about, one line a fault."""
    program = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "build", str(root), "--path-output", str(work)]
    command += ["-W", "-n", "--keep-going"]
    log = work / "build.log"
    with log.open("wb") as sink, _sigterm_raises():
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            code = process.wait(BOOK_SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process)
            return [f"jupyter-book took more than {BOOK_SECONDS} s"]
        except BaseException:
            _kill(process)
            raise
        finally:
            process.wait()
    if code == 0:
        return []
    text = log.read_text(encoding="utf8", errors="replace")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    marks = ("WARNING:", "ERROR:", "CRITICAL:", "Error:")
    faults = [
        line.replace(f"{root}{os.sep}", "") for line in lines if any(m in line for m in marks)
    ]
    last = next((line for line in reversed(lines) if line.strip()), "no output")
    return faults or [f"jupyter-book ended with {code}: {last}"]


def _select(root: Path, names: Iterable[str] | None) -> list[Path]:
    found = {path.stem: path for path in sorted((root / "notebooks").glob("*.ipynb"))}
    if names is None:
        return list(found.values())
    wanted = list(dict.fromkeys(names))
    if unknown := [name for name in wanted if name not in found]:
        raise ValueError(
            f"no notebook is called {', '.join(map(repr, unknown))}; "
            f"there are: {', '.join(found) or 'none'}"
        )
    return [found[name] for name in wanted]


def _parameter_options(parameters: Mapping[str, Any]) -> list[str]:
    options = []
    for name, value in parameters.items():
        if isinstance(value, str):
            options += ["-p", name, value]
        else:
            import yaml

            options += ["-y", yaml.safe_dump({name: value})]
    return options


def _warm_font_cache() -> None:
    """Build matplotlib's font cache now: the first kernel to do it would say so in the page."""
    subprocess.run(
        [sys.executable, "-c", "import matplotlib.font_manager"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Make SIGTERM raise SystemExit in the main thread, so that children are ended too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started: a kernel lives in a process group of its own."""
    import psutil

    if process.poll() is not None:
        return
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(
            part == "__pycache__" or part.startswith(".") for part in path.relative_to(folder).parts
        )
    )


def _digest_files(root: Path, paths: Iterable[Path]) -> list[tuple[str, str]]:
    return [
        (path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in paths
    ]


def _versions(names: Iterable[str]) -> dict[str, str | None]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _tags(cell: Mapping[str, Any]) -> list[str]:
    return cell["metadata"].get("tags", [])


def _source(cell: Mapping[str, Any]) -> str:
    return "".join(cell["source"])


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf8"))


def _write(path: Path, notebook: dict[str, Any]) -> None:
    text = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf8")

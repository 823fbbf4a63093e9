"""Run the chapters with papermill, several at once, each into a copy under _executed/.

What did not change is not run again, and a notebook that fails keeps its last good copy.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reviewlib import digests
from reviewlib.processes import Children, sigterm_raises

# A chapter is meant to take 45 CPU-seconds; these only end what hangs.
CELL_SECONDS = 1800  # papermill reads whole seconds
NOTEBOOK_SECONDS = 3600
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}

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


def execute(
    root: Path,
    names: Iterable[str] | None = None,
    *,
    jobs: int = 2,
    parameters: Mapping[str, str] | None = None,
    force: bool = False,
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
        report: called with (name, state, detail) as things happen, from the running threads;
            states are "running" and those of Outcome.

    Raises:
        ValueError: a name or a parameter is unknown; nothing has been run then.
    """
    root, parameters = Path(root).resolve(), dict(parameters or {})
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    paths = _select(root / "notebooks", names)
    sources = {path: _read(path) for path in paths}
    for path, notebook in sources.items():
        _check(path.stem, parameters, notebook)
    tell = report or (lambda name, state, detail: None)
    out = root / "_executed"
    outcomes: dict[Path, Outcome] = {}
    changed = []
    for path, notebook in sources.items():
        key = digests.of_notebook(notebook, parameters)
        if not force and _stored_key(out / path.name) == key:
            outcomes[path] = Outcome(path.stem, "unchanged")
            tell(path.stem, "unchanged", "")
        else:
            changed.append((path, {"key": key, "parameters": parameters}))
    if changed:
        out.mkdir(exist_ok=True)
        _warm_font_cache()
        children = Children()
        with sigterm_raises(), ThreadPoolExecutor(jobs) as pool:
            futures = {path: pool.submit(_run, path, out, s, children, tell) for path, s in changed}
            try:
                outcomes |= {path: future.result() for path, future in futures.items()}
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                children.stop()
                raise
    return [outcomes[path] for path in paths]


def _select(folder: Path, names: Iterable[str] | None) -> list[Path]:
    found = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    wanted = list(found if names is None else dict.fromkeys(names))
    if unknown := [name for name in wanted if name not in found]:
        raise ValueError(
            f"no notebook is called {', '.join(map(repr, unknown))}; "
            f"there are: {', '.join(found) or 'none'}"
        )
    return [found[name] for name in wanted]


def _check(name: str, given: Mapping[str, str], notebook: Mapping[str, Any]) -> None:
    """Raise ValueError if the cell tagged `parameters` does not assign all that is given."""
    tagged = [cell for cell in notebook["cells"] if "parameters" in _tags(cell)]
    nodes = [node for cell in tagged for node in ast.walk(ast.parse("".join(cell["source"])))]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    known = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    if unknown := sorted(set(given) - known):
        raise ValueError(
            f"notebook {name} has no parameter {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(sorted(known)) or 'none'}"
        )


def _run(path: Path, out: Path, stamp: dict[str, Any], children: Children, tell: Report) -> Outcome:
    """Run one notebook; replace its executed copy if all went well."""
    name, start = path.stem, time.monotonic()
    tell(name, "running", "")
    log = out / f"{name}.log"
    with tempfile.TemporaryDirectory(dir=out, prefix=f".{name}.") as folder:
        copy = Path(folder, path.name)
        command = _papermill(path, copy, stamp["parameters"])
        code = children.run(command, log, NOTEBOOK_SECONDS, ENVIRONMENT)
        seconds = time.monotonic() - start
        lines = log.read_text(encoding="utf8", errors="replace").splitlines()
        error, cell = _fault(code, lines, path, copy, bool(stamp["parameters"]))
        if error is None:
            done = _clean(_read(copy), stamp)
            text = json.dumps(done, indent=1, sort_keys=True, ensure_ascii=False)
            copy.write_text(text + "\n", encoding="utf8")
            os.replace(copy, out / path.name)
    if error is None:
        tell(name, "executed", f"{seconds:.1f} s")
        return Outcome(name, "executed", seconds)
    where = "" if cell is None else f", cell {cell}"
    line = f"notebook {name}{where}: {error} (log: _executed/{log.name})"
    tell(name, "failed", line)
    return Outcome(name, "failed", seconds, line, cell)


def _papermill(path: Path, copy: Path, parameters: Mapping[str, str]) -> list[str]:
    command = [sys.executable, "-m", "papermill", str(path), str(copy), "--cwd", str(path.parent)]
    command += ["-k", "python3", "--no-progress-bar", "--log-output", "--start-timeout", "120"]
    command += ["--execution-timeout", str(CELL_SECONDS)]
    for name, value in parameters.items():
        command += ["-p", name, value]
    return command


def _fault(
    code: int | None, log: list[str], path: Path, copy: Path, injected: bool
) -> tuple[str | None, int | None]:
    """Return (what went wrong in one line or None, position of the cell or None)."""
    started = _last_started(log, path, injected)
    # After a dead kernel or a timeout, papermill's copy says "completed" everywhere.
    if code is None:
        return f"took more than {NOTEBOOK_SECONDS:g} s", started
    if code == 138:  # papermill's own code for it
        return "the kernel died (out of memory?)", started
    if code and any("CellTimeoutError" in line for line in log):
        return f"the cell took more than {CELL_SECONDS:g} s", started
    if code in (0, 1):  # else papermill was killed, perhaps while it was writing
        for position, cell in enumerate(_own_cells(copy), 1):
            for output in cell.get("outputs", ()):
                if output["output_type"] == "error":
                    value = (output["evalue"].strip().splitlines() or [""])[0]
                    return f"{output['ename']}: {value}", position
            if not code and "".join(cell["source"]).strip() and not cell.get("execution_count", 1):
                return "the cell was never run", position
    if code:
        last = next((line for line in reversed(log) if line.strip()), "no output")
        return f"papermill ended with {code}: {last.strip()}", started
    return None, None


def _last_started(log: list[str], path: Path, injected: bool) -> int | None:
    """Return the position in the notebook of the cell that papermill started last."""
    started = [line for line in log if line.startswith("Executing Cell ")]
    if not started:
        return None
    position = int(started[-1].split()[2].rstrip("-"))
    # papermill's own cell stands right after the one that is tagged
    before = ["parameters" in _tags(cell) for cell in _read(path)["cells"][: position - 1]]
    return position - (injected and any(before))


def _own_cells(copy: Path) -> list[dict[str, Any]]:
    """Return the cells that the notebook had before papermill added its own."""
    added = {"injected-parameters", "papermill-error-cell-tag"}
    cells = _read(copy)["cells"] if copy.exists() else []
    return [cell for cell in cells if not added & set(_tags(cell))]


def _clean(notebook: dict[str, Any], stamp: dict[str, Any]) -> dict[str, Any]:
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
    return notebook


def _stored_key(copy: Path) -> str | None:
    try:
        return _read(copy)["metadata"]["reviewlib"]["key"]
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _warm_font_cache() -> None:
    """Build matplotlib's font cache now: the first kernel to do it would say so in the page."""
    command = [sys.executable, "-c", "import matplotlib.font_manager"]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _tags(cell: Mapping[str, Any]) -> list[str]:
    return cell["metadata"].get("tags", [])


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf8"))

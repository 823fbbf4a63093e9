"""Notebook files: find and read them, check parameters, stamp and recognize executed copies."""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reviewlib.book import freshness

# A chapter should take 45 CPU-seconds; these limits only stop notebooks that hang.
CELL_SECONDS = 1800  # an integer, as papermill requires
NOTEBOOK_SECONDS = 3600
# Reading a file that is not a notebook, or only part of one, can raise these.
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


def own_kernel(folder: Path) -> dict[str, str]:
    """Return the environment in which a kernel is this interpreter, without the user's start-up.

    Otherwise a kernel "python3" on the user's JUPYTER_PATH would run the book, unseen.

    Args:
        folder: an empty folder, which gets the kernel's description and IPython's files.
    """
    place = folder / "kernels" / "python3"
    place.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf8")
    found = [str(folder), os.environ.get("JUPYTER_PATH", "")]
    return {"JUPYTER_PATH": os.pathsep.join(filter(None, found)), "IPYTHONDIR": str(folder)}


def select(folder: Path, names: Iterable[str] | None) -> list[Path]:
    """Return the notebooks of a folder that have these names; all of them for None.

    Raises:
        ValueError: a name has no notebook.
    """
    found = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    wanted = list(found if names is None else dict.fromkeys(names))
    if unknown := [name for name in wanted if name not in found]:
        raise ValueError(
            f"no notebook is called {', '.join(map(repr, unknown))}; "
            f"there are: {', '.join(found) or 'none'}"
        )
    return [found[name] for name in wanted]


def read(path: Path) -> dict[str, Any]:
    """Return a notebook as plain JSON.

    Raises:
        ValueError: the file is not a notebook of format 4.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf8"))
        for cell in notebook["cells"]:
            _ = cell["cell_type"], "".join(cell["source"]), tags(cell)
    except DAMAGED as error:
        raise ValueError(f"not a notebook: {type(error).__name__}: {error}") from error
    return notebook


def tags(cell: Mapping[str, Any]) -> list[str]:
    """Return the tags of a cell."""
    return cell["metadata"].get("tags", [])


def check(name: str, notebook: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Check that a notebook's cell tagged `parameters` assigns every parameter given.

    Raises:
        ValueError: the cell is missing, cannot be parsed, or does not assign one of them.
    """
    if not given:
        return
    source = "\n".join("".join(c["source"]) for c in notebook["cells"] if "parameters" in tags(c))
    try:
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    except SyntaxError as error:
        raise ValueError(f"the parameters cell of notebook {name} is no Python: {error}") from error
    known = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
    if unknown := sorted(set(given) - known):
        raise ValueError(
            f"notebook {name} has no parameter {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(sorted(known)) or 'none'}"
        )


def cleaned(text: str, key: str, parameters: Mapping[str, str]) -> str:
    """Return an executed notebook, stamped, without metadata that differs between equal runs.

    Args:
        text: papermill's notebook; the cell that papermill injected is hidden from the page.
        key: key of the outputs (see `freshness.of_notebook`).
        parameters: the injected values.
    """
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        for name in ("papermill", "execution"):
            cell["metadata"].pop(name, None)
        if not tags(cell):
            cell["metadata"].pop("tags", None)
        if "injected-parameters" in tags(cell):
            cell["id"] = "injected"
            cell["metadata"]["tags"] = ["injected-parameters", "remove-cell"]
    notebook["metadata"].pop("papermill", None)
    contents = freshness.of_cells(notebook["cells"])
    stamp = {"key": key, "parameters": dict(parameters), "contents": contents}
    notebook["metadata"]["reviewlib"] = stamp
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def holds(copy: Path, key: str) -> bool:
    """Return whether an executed copy is complete, unedited and has this key."""
    try:
        notebook = json.loads(copy.read_text(encoding="utf8"))
        stamp = notebook["metadata"]["reviewlib"]
        return stamp["key"] == key and stamp["contents"] == freshness.of_cells(notebook["cells"])
    except DAMAGED:
        return False

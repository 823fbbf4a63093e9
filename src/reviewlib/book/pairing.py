"""Chapters are pairs: people review NAME.py, and NAME.ipynb is generated from it.

Only contents are compared, never modification times: those of a fresh clone mean nothing.
"""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import jupytext
import nbformat

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# The text has no header: it would name jupytext's version and change with it.
TEXT_OPTIONS = {
    "notebook_metadata_filter": "-all",
    "cell_metadata_filter": "all,-trusted,-execution,-papermill",
}
VOLATILE = ("execution", "papermill", "trusted", "collapsed", "scrolled")


def to_ipynb(py_text: str) -> str:
    """Return the notebook of a py:percent text, without outputs."""
    return _clean(jupytext.reads(py_text, fmt="py:percent"))


def to_py(ipynb_text: str) -> str:
    """Return the py:percent text of a notebook; its outputs are dropped.

    Raises:
        ValueError: it is no notebook, or the text would lose something of a cell.
    """
    notebook = _parsed(ipynb_text)
    _clean(notebook)
    before = copy.deepcopy(notebook.cells)
    notebook.metadata = nbformat.from_dict({"jupytext": dict(TEXT_OPTIONS)})
    text = jupytext.writes(notebook, fmt="py:percent")
    _require_same(before, jupytext.reads(text, fmt="py:percent").cells)
    return text


def write(folder: Path, *, force: bool = False) -> list[Path]:
    """Write the notebook of every text in a folder; return those that changed.

    Args:
        folder: the folder of the pairs.
        force: whether to overwrite notebooks that were edited too.

    Raises:
        ValueError: a notebook was edited, and the edit is not in its text. No file is changed then.
    """
    wanted = {}
    for text in sorted(Path(folder).glob("*.py")):
        notebook, content = text.with_suffix(".ipynb"), to_ipynb(_read(text))
        there = _read(notebook) if notebook.exists() else None
        if there == content:
            continue
        if there is not None and not force and _edited(there, _read(text)):
            raise ValueError(_unsaved(folder, text, notebook))
        wanted[notebook] = content
    for notebook, content in wanted.items():
        notebook.write_text(content, encoding="utf8")
    return list(wanted)


def check(folder: Path) -> list[str]:
    """Return one line for every pair in a folder whose sides disagree."""
    folder = Path(folder)
    names = sorted({path.stem for ext in ("py", "ipynb") for path in folder.glob(f"*.{ext}")})
    return [line for name in names if (line := problem(folder, name))]


def pull(path: Path) -> None:
    """Accept a notebook that was edited in Jupyter: rewrite its text, then the notebook.

    Raises:
        ValueError: the path does not end in .ipynb, or its text would lose something of it. No
            file is changed then.
        FileNotFoundError: there is no file at the path.
    """
    notebook = Path(path)
    if notebook.suffix != ".ipynb":
        raise ValueError(f"a notebook ends in .ipynb, got {notebook}; pull takes the edited side")
    try:
        text = to_py(_read(notebook))
    except ValueError as error:
        raise ValueError(f"{notebook}: {error}") from error
    notebook.with_suffix(".py").write_text(text, encoding="utf8")
    notebook.write_text(to_ipynb(text), encoding="utf8")


def problem(folder: Path, name: str) -> str | None:
    """Return how the sides of one pair disagree, or None if they agree."""
    text, notebook = folder / f"{name}.py", folder / f"{name}.ipynb"
    pull_it = _pull(folder, notebook)
    if not text.exists():
        return f"{notebook.name} has no {text.name}: run `{pull_it}`"
    if not notebook.exists():
        return f"{text.name} has no {notebook.name}: run `reviewlib pair`"
    try:
        py_text, ipynb_text = _read(text), _read(notebook)
        if to_ipynb(py_text) != ipynb_text:
            if _edited(ipynb_text, py_text):
                return _unsaved(folder, text, notebook)
            return f"{notebook.name} is not what {text.name} gives: run `reviewlib pair`"
        if to_py(ipynb_text) != py_text:
            return f"{text.name} is not in normal form: run `{pull_it}`"
    except ValueError as error:
        return f"{notebook.name}: {error}"
    return None


def _edited(ipynb_text: str, py_text: str) -> bool:
    """Return whether a notebook has cells that neither its text nor an older one gave.

    Cells that a text gave have identifiers made from their contents; an edit in Jupyter keeps them.
    """
    notebook = _parsed(ipynb_text)
    if any(cell.get("attachments") for cell in notebook.cells):
        return True
    there, of_text = (
        [(cell.cell_type, cell.source) for cell in each.cells]
        for each in (notebook, jupytext.reads(py_text, fmt="py:percent"))
    )
    if there == of_text:
        return False
    names = [cell.get("id") for cell in notebook.cells]
    _clean(notebook)
    return names != [cell["id"] for cell in notebook.cells]


def _unsaved(folder: Path, text: Path, notebook: Path) -> str:
    """Return what to do about an edit that only the notebook has."""
    return (
        f"{notebook.name} was edited, and {text.name} does not have the edit: run "
        f"`{_pull(folder, notebook)}` to keep it, or `reviewlib pair --force` to drop it"
    )


def _pull(folder: Path, notebook: Path) -> str:
    """Return the command that takes over an edited notebook."""
    return f"reviewlib pair --pull {Path(folder).name}/{notebook.name}"


def _read(path: Path) -> str:
    """Return a file's text, without the mark that some editors put first."""
    return path.read_text(encoding="utf-8-sig")


def _parsed(ipynb_text: str) -> nbformat.NotebookNode:
    """Return a notebook; raise ValueError for a text that is none."""
    try:
        return nbformat.reads(ipynb_text, as_version=4)
    except Exception as error:  # nbformat and json raise exceptions of many types
        marks = "<<<<<<<" in ipynb_text
        why = "it has the marks of a merge conflict" if marks else f"{type(error).__name__}"
        raise ValueError(f"must be a notebook, and {why}: resolve or restore it") from error


def _require_same(before: list, after: list) -> None:
    """Raise ValueError if a cell lost or gained something on the way through a text."""
    for number, (one, other) in enumerate(zip(before, after, strict=True), 1):
        for part in ("cell_type", "source", "attachments", "metadata"):
            if one.get(part) != other.get(part):
                raise ValueError(
                    f"cell {number} would lose or change its {part}: pictures go into a file that "
                    "the cell links to, and the rest must be written as a text can hold it"
                )


def _clean(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook as text, without volatile metadata and with cell ids made from contents."""
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        for key in VOLATILE:
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        digest = hashlib.sha1(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"

"""Chapters are pairs: people review NAME.py, and NAME.ipynb is generated from it.

Only contents are compared, never modification times: those of a fresh clone mean nothing.
"""

from __future__ import annotations

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
    """Return the py:percent text of a notebook; its outputs are dropped."""
    notebook = nbformat.reads(ipynb_text, as_version=4)
    _clean(notebook)
    notebook.metadata = nbformat.from_dict({"jupytext": dict(TEXT_OPTIONS)})
    return jupytext.writes(notebook, fmt="py:percent")


def write(folder: Path) -> list[Path]:
    """Write the notebook of every text in a folder; return those that changed."""
    changed = []
    for text in sorted(Path(folder).glob("*.py")):
        notebook = text.with_suffix(".ipynb")
        content = to_ipynb(text.read_text(encoding="utf8"))
        if not notebook.exists() or notebook.read_text(encoding="utf8") != content:
            notebook.write_text(content, encoding="utf8")
            changed.append(notebook)
    return changed


def check(folder: Path) -> list[str]:
    """Return one line for every pair in a folder whose sides disagree."""
    folder = Path(folder)
    names = sorted({path.stem for ext in ("py", "ipynb") for path in folder.glob(f"*.{ext}")})
    return [line for name in names if (line := problem(folder, name))]


def pull(path: Path) -> None:
    """Accept a notebook that was edited in Jupyter: rewrite its text, then the notebook.

    Raises:
        ValueError: the path does not end in .ipynb.
        FileNotFoundError: there is no file at the path.
    """
    notebook = Path(path)
    if notebook.suffix != ".ipynb":
        raise ValueError(f"a notebook ends in .ipynb, got {notebook}; pull takes the edited side")
    text = to_py(notebook.read_text(encoding="utf8"))
    notebook.with_suffix(".py").write_text(text, encoding="utf8")
    notebook.write_text(to_ipynb(text), encoding="utf8")


def problem(folder: Path, name: str) -> str | None:
    """Return how the sides of one pair disagree, or None if they agree."""
    text, notebook = folder / f"{name}.py", folder / f"{name}.ipynb"
    pull_it = f"reviewlib pair --pull {folder.name}/{notebook.name}"
    if not text.exists():
        return f"{notebook.name} has no {text.name}: run `{pull_it}`"
    if not notebook.exists():
        return f"{text.name} has no {notebook.name}: run `reviewlib pair`"
    py_text, ipynb_text = text.read_text(encoding="utf8"), notebook.read_text(encoding="utf8")
    if to_ipynb(py_text) != ipynb_text:
        return (
            f"{notebook.name} is not what {text.name} gives: run `reviewlib pair`, or "
            f"`{pull_it}` if the notebook is the side you edited"
        )
    if to_py(ipynb_text) != py_text:
        return f"{text.name} is not in normal form: run `{pull_it}`"
    return None


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

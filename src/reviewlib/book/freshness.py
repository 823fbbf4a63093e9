"""Keys of generated files: a file is up to date while the key of its inputs is unchanged."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from reviewlib import sources
from reviewlib.storage import digest

LIBRARIES = ("torch", "numpy", "pandas", "scipy", "matplotlib", "seaborn")
BOOK_TOOLS = ("jupyter-book", "Sphinx", "myst-nb", "sphinx-book-theme")


def of_notebook(name: str, notebook: Mapping[str, Any], parameters: Mapping[str, str]) -> str:
    """Return the key of a notebook's outputs.

    Args:
        name: the notebook's file name without extension, which is also its paper's name.
        notebook: the notebook as JSON.
        parameters: values for its parameters cell.
    """
    return digest(
        {
            "cells": [
                (cell["cell_type"], "".join(cell["source"]), cell["metadata"])
                for cell in notebook["cells"]
            ],
            "parameters": dict(parameters),
            "preset": os.environ.get("REVIEWLIB_PRESET"),
            "python": sys.version_info[:2],
            "versions": _versions(LIBRARIES),
            "files": sources.contents(files_of(name, notebook)),
        }
    )


def files_of(name: str, notebook: Mapping[str, Any]) -> list[Path]:
    """Return the files of the package that a notebook depends on.

    These are the modules that its cells import, directly or indirectly, its paper's study and its
    paper's records. If a cell or a module cannot be parsed, its imports are unknown, and the result
    is all files of the package.
    """
    # `papers.find` imports the study by name, so no import statement shows it.
    modules = [f"{sources.PACKAGE.name}.papers.{name}.study"]
    try:
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                modules += sources.imports(ast.parse("".join(cell["source"])))
        found = sources.files(modules)
    except (SyntaxError, ValueError, ImportError):
        return _below(sources.PACKAGE)
    return sorted({*found, *_below(sources.PACKAGE / "papers" / name / "records")})


def of_cells(cells: list[dict[str, Any]]) -> str:
    """Return the digest of an executed notebook's cells, outputs included."""
    return digest({"cells": cells})


def of_book(root: Path) -> str:
    """Return the key of the built site."""
    files = [path for name in ("_config.yml", "_toc.yml") if (path := root / name).exists()]
    for folder in ("book", "notebooks", "_executed"):
        files += (path for path in _below(root / folder) if path.suffix != ".log")
    return digest(
        {
            "files": sources.contents(files, root),
            "package": sources.contents(_below(sources.PACKAGE)),
            "repository": os.environ.get("GITHUB_REPOSITORY"),
            "versions": _versions(BOOK_TOOLS),
        }
    )


def _below(folder: Path) -> list[Path]:
    """Return all files under a folder except caches and hidden files."""

    def counts(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        return path.is_file() and not any(p == "__pycache__" or p.startswith(".") for p in parts)

    return sorted(path for path in folder.rglob("*") if counts(path))


def _versions(names: Iterable[str]) -> dict[str, str | None]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found

"""Digests of the code and of what a notebook or the book is made from."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from reviewlib.storage import digest, file_digest

PACKAGE = Path(__file__).parent
# What shapes the command line and the site, but no output of a notebook.
OUTSIDE_NOTEBOOKS = {
    "bookext.py",
    "cli.py",
    "contract.py",
    "digests.py",
    "directives.py",
    "drafts.py",
    "execute.py",
    "exhibits.py",
    "failures.py",
    "forecast.py",
    "history.json",
    "history.py",
    "notebooks.py",
    "pairing.py",
    "private.py",
    "processes.py",
    "build.py",
    "progress.py",
    "check_site.py",
}
NUMERICAL = ("torch", "numpy", "pandas", "scipy", "matplotlib", "seaborn")
BOOK_TOOLS = ("jupyter-book", "Sphinx", "myst-nb", "sphinx-book-theme")


def of_notebook(notebook: Mapping[str, Any], parameters: Mapping[str, str]) -> str:
    """Return the digest of everything that a notebook's outputs follow from."""
    package = (path for path in _files(PACKAGE) if path.name not in OUTSIDE_NOTEBOOKS)
    return digest(
        {
            "cells": [
                (cell["cell_type"], "".join(cell["source"]), cell["metadata"])
                for cell in notebook["cells"]
            ],
            "parameters": dict(parameters),
            "preset": os.environ.get("REVIEWLIB_PRESET"),
            "python": sys.version_info[:2],
            "versions": _versions(NUMERICAL),
            "package": _contents(PACKAGE, package),
        }
    )


def of_cells(cells: list[dict[str, Any]]) -> str:
    """Return the digest of an executed notebook's cells, which reveals an edited output."""
    return digest({"cells": cells})


def of_book(root: Path) -> str:
    """Return the digest of everything that the built site follows from."""
    files = [path for name in ("_config.yml", "_toc.yml") if (path := root / name).exists()]
    for folder in ("book", "notebooks", "_executed"):
        files += (path for path in _files(root / folder) if path.suffix != ".log")
    return digest(
        {
            "files": _contents(root, files),
            "package": _contents(PACKAGE, _files(PACKAGE)),
            "repository": os.environ.get("GITHUB_REPOSITORY"),
            "versions": _versions(BOOK_TOOLS),
        }
    )


def _files(folder: Path) -> list[Path]:
    """Return a folder's files, at any depth, without caches and hidden ones."""

    def counts(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        return path.is_file() and not any(p == "__pycache__" or p.startswith(".") for p in parts)

    return sorted(path for path in folder.rglob("*") if counts(path))


def _contents(root: Path, paths: Iterable[Path]) -> list[tuple[str, str]]:
    return [(path.relative_to(root).as_posix(), file_digest(path)) for path in paths]


def _versions(names: Iterable[str]) -> dict[str, str | None]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def source_hash() -> str:
    """Return the digest of the package's Python files."""
    return digest(_contents(PACKAGE, sorted(PACKAGE.rglob("*.py"))))[:12]

"""The reviewed papers, one folder each; each folder with a study.py is found automatically."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reviewlib.trial.study import Study


def found() -> list[str]:
    """Return the names of all studies: the folders here that have a study.py.

    One without a method of its own, which combines others, comes last.
    """
    names = (module.name for module in pkgutil.iter_modules(__path__))
    studies = [name for name in names if (folder_of(name) / "study.py").exists()]
    return sorted(studies, key=lambda name: (not (folder_of(name) / "method.py").exists(), name))


def find(name: str) -> Study:
    """Return the study of that name.

    Raises:
        ValueError: there is none; the message lists the known names.
    """
    if name not in found():
        raise ValueError(f"no study is called {name!r}; there are: {', '.join(found())}")
    return importlib.import_module(f"{__name__}.{name}.study").STUDY


def folder_of(name: str) -> Path:
    """Return a paper's folder."""
    return Path(__path__[0], name)

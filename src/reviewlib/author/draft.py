"""A chapter as its files are now: cells, prose, strings, syntax trees and study."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from reviewlib import papers
from reviewlib.book import notebooks
from reviewlib.sources import imports
from reviewlib.trial.study import Study

# The files of every chapter. method.py is not among them: a study that combines papers has none.
FILES = (
    "src/reviewlib/papers/NAME/__init__.py",
    "src/reviewlib/papers/NAME/study.py",
    "notebooks/NAME.py",
    "notebooks/NAME.ipynb",
    "tests/papers/test_NAME.py",
)


class Unreadable(ValueError):
    """A file of a draft cannot be read, parsed or imported."""


class Cell(NamedTuple):
    """One cell of a notebook.

    Attributes:
        place: the notebook's path and the cell's number, for messages.
        section: the second-level heading that the cell starts under.
        kind: "code" or "markdown".
        text: its source.
        stored: the cell as JSON.
    """

    place: str
    section: str
    kind: str
    text: str
    stored: dict[str, Any]

    @property
    def parameters(self) -> bool:
        """Whether it is tagged as the parameters cell."""
        return "parameters" in notebooks.tags(self.stored)


class Passage(NamedTuple):
    """The prose of a cell below one second-level heading, or one string of a code cell."""

    place: str
    section: str
    text: str


@dataclass(frozen=True)
class Draft:
    """A chapter as its files are now, with paths relative to the book's folder.

    Attributes:
        root: the book's folder.
        name: the name of the paper.
    """

    root: Path
    name: str

    @property
    def files(self) -> list[str]:
        """The files that the chapter consists of."""
        return [file.replace("NAME", self.name) for file in FILES]

    @property
    def folder(self) -> str:
        """The paper's folder in the package."""
        return f"src/reviewlib/papers/{self.name}"

    @property
    def declaration(self) -> str:
        """The file that declares the study."""
        return f"{self.folder}/study.py"

    @property
    def notebook(self) -> str:
        """The chapter's .ipynb file."""
        return f"notebooks/{self.name}.ipynb"

    @property
    def modules(self) -> list[str]:
        """The paper's Python files."""
        found = (self.root / self.folder).glob("*.py")
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    @property
    def of_study(self) -> set[str]:
        """Those of the paper's Python files that its study imports, study.py among them."""
        found, waiting = set(), [self.declaration]
        while waiting:
            if (file := waiting.pop()) in found or not (self.root / file).exists():
                continue
            found.add(file)
            names = (name.split(".") for name in imports(self.tree(file)))
            waiting += [
                f"{self.folder}/{name[3]}.py"
                for name in names
                if name[:3] == ["reviewlib", "papers", self.name] and len(name) > 3
            ]
        return found

    def read(self, place: str) -> str:
        """Return a file's text."""
        with reading(place):
            return (self.root / place).read_text(encoding="utf8")

    def tree(self, place: str) -> ast.Module:
        """Return a Python file's syntax tree."""
        with reading(place):
            return ast.parse(self.read(place))

    @cached_property
    def study(self) -> Study:
        """The study that the paper declares."""
        with reading(self.declaration):
            return papers.find(self.name)

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells of the notebook; their places count from 1."""
        section, cells = "", []
        with reading(self.notebook):
            for number, stored in enumerate(notebooks.read(self.root / self.notebook)["cells"], 1):
                text, place = "".join(stored["source"]), f"{self.notebook}, cell {number}"
                cells.append(Cell(place, section, stored["cell_type"], text, stored))
                if stored["cell_type"] == "markdown":
                    section = [section, *headings(text)][-1]
        return cells

    @cached_property
    def code(self) -> list[tuple[Cell, ast.Module]]:
        """The code cells with their syntax trees."""
        parsed = []
        for cell in self.cells:
            if cell.kind == "code":
                with reading(cell.place):
                    parsed.append((cell, ast.parse(cell.text)))
        return parsed

    @cached_property
    def passages(self) -> list[Passage]:
        """All text of the notebook: its prose, and the strings of its code."""
        found = []
        for cell in self.cells:
            if cell.kind == "markdown":
                for part in re.split(r"^(?=## )", cell.text, flags=re.MULTILINE):
                    section = [cell.section, *headings(part)][-1]
                    found.append(Passage(cell.place, section, part))
        for cell, tree in self.code:
            found += [Passage(cell.place, cell.section, text) for text in strings(tree)]
        return found


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn any exception into an `Unreadable` that names the place."""
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:  # an author's file may raise anything
        raise Unreadable(f"{place}: {type(error).__name__}: {error}") from error


def headings(text: str) -> list[str]:
    """Return the second-level headings of a Markdown text."""
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


def calls(tree: ast.AST) -> list[ast.Call]:
    """Return all calls, at any depth."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def called(call: ast.Call) -> str:
    """Return the name of the function or method that is called: `mean` for `rows.mean()`."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def strings(node: ast.AST) -> Iterator[str]:
    """Yield all strings; in an f-string, each replaced expression becomes {}."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(
            part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from strings(child)

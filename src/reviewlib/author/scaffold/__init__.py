"""The skeleton of a new chapter, which runs as it is written."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path

from reviewlib.book import pairing

# Each template and the file that it becomes; NAME stands for the paper in both.
TEMPLATES = {
    "init": "src/reviewlib/papers/NAME/__init__.py",
    "method": "src/reviewlib/papers/NAME/method.py",
    "study": "src/reviewlib/papers/NAME/study.py",
    "test": "tests/papers/test_NAME.py",
    "notebook": "notebooks/NAME.py",
}
# Where the name may not stand yet: two tests of one name hide each other from pytest.
TAKEN = ("src/reviewlib/papers/NAME", "notebooks/NAME.ipynb", "tests/test_NAME.py")


def write(root: Path, name: str) -> list[Path]:
    """Write the files of a new chapter and return their paths.

    Args:
        root: the book's folder, a checkout with the package's source.
        name: of the paper: a folder, a notebook, a test file.

    Raises:
        ValueError: the name is no lower-case identifier; nothing is written.
        FileExistsError: the name is taken; nothing is written.
        FileNotFoundError: the folder holds no source of the package.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError(
            f"a paper's name must be a lower-case identifier and no keyword, got {name!r}; "
            "take one like lottery_tickets"
        )
    if not (root / "src" / "reviewlib" / "papers").is_dir():
        raise FileNotFoundError(f"{root} has no src/reviewlib/papers: take a checkout of the book")
    for place in (*TAKEN, *TEMPLATES.values()):
        if (path := root / place.replace("NAME", name)).exists():
            raise FileExistsError(f"{name} is taken: there is {path}; take another name")
    texts = {
        root / file.replace("NAME", name): _template(template).replace("NAME", name)
        for template, file in TEMPLATES.items()
    }
    notebook = root / "notebooks" / f"{name}.py"
    texts[notebook.with_suffix(".ipynb")] = pairing.to_ipynb(texts[notebook])
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf8") as file:
            file.write(text)
    return list(texts)


def _template(name: str) -> str:
    return resources.files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf8")

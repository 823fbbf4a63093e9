"""Rules on a chapter's files: what is there, what it imports, what it declares."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

from reviewlib.author.draft import Draft, reading
from reviewlib.sources import imports

TODO = re.compile(r"\bTODO\b:?\s*([^\"]*)")

TORCH_ALONE = frozenset({*sys.stdlib_module_names, "torch"})
# A notebook gets its figures and statistics from the library.
NOTEBOOK_IMPORTS = TORCH_ALONE | {"reviewlib", "IPython", "numpy", "pandas"}
# A study must run on a machine without these packages.
NOTEBOOK_TOOLS = frozenset(
    {"IPython", "matplotlib", "seaborn", "papermill", "sphinx", "jupytext", "torchvision"}
    | {"reviewlib.page", "reviewlib.book"}
)


def complete(draft: Draft) -> list[str]:
    """The chapter has a study, a pair of notebooks and a test file."""
    return [f"{file}: is missing" for file in draft.files if not (draft.root / file).exists()]


def filled_in(draft: Draft) -> list[str]:
    """Nothing is left to fill in."""
    texts = (file for file in draft.files if file.endswith(".py") and (draft.root / file).exists())
    return [
        f"{file}, line {number}: {todo[1] or todo[0]}"
        for file in sorted({*texts, *draft.modules})
        for number, line in enumerate(draft.read(file).splitlines(), 1)
        if (todo := TODO.search(line))
    ]


def layering(draft: Draft) -> list[str]:
    """The method imports only torch, the study no notebook tools, the notebook few libraries."""
    found = [
        (cell.place, name)
        for cell, tree in draft.code
        for name in imports(tree)
        if _top(name) not in NOTEBOOK_IMPORTS
    ]
    of_study = draft.of_study
    for file in draft.modules:
        names = imports(draft.tree(file))
        if file == f"{draft.folder}/method.py":
            found += [(file, name) for name in names if _top(name) not in TORCH_ALONE]
        if file in of_study:
            found += [(file, name) for name in names if _parents(name) & NOTEBOOK_TOOLS]
    return [f"{place}: must not import {name}" for place, name in found]


def core_arms(draft: Draft) -> list[str]:
    """Every core arm is declared, or the study says why it does not apply."""
    return [
        f"{draft.declaration}: say in not_applicable why there is no arm {role!r}"
        for role, why in draft.study.not_applicable.items()
        if not _said(why)
    ]


def claims_have_sources(draft: Draft) -> list[str]:
    """Every claim, and every number that the paper reports, has a source."""
    return [
        f"{draft.declaration}: claim {claim.name} needs a table, figure or section as source"
        for claim in (*draft.study.claims, *draft.study.controls)
        if not all(map(_said, [claim.where, *(number.where for number in claim.reported)]))
    ]


def pair_in_step(draft: Draft) -> list[str]:
    """The two files of the notebook pair have the same content."""
    with reading(draft.notebook):
        from reviewlib.book import pairing  # a machine that only runs studies has no jupytext

        problem = pairing.problem(draft.root / "notebooks", draft.name)
    return [f"notebooks/{problem}"] if problem else []


def tests_are_there(draft: Draft) -> list[str]:
    """The test file has tests, and says how the method is used in another's training."""
    file = f"tests/papers/test_{draft.name}.py"
    tree = draft.tree(file)
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    outside = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    missing = [] if any(name.startswith("test_") for name in names) else [f"{file}: has no test"]
    if "in_use" not in outside:
        missing.append(
            f"{file}: has no in_use(change), which tests/papers/test_methods.py describes"
        )
    return missing


def lint(draft: Draft) -> list[str]:
    """Ruff finds no problem in the chapter's files."""
    files = sorted({*draft.files, *draft.modules})
    command = [sys.executable, "-m", "ruff", "check", "--output-format=concise", "--quiet", *files]
    done = subprocess.run(command, cwd=draft.root, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines() if done.returncode else []


def _parents(module: str) -> set[str]:
    """Return a module's name and the names of the packages that it is in."""
    parts = module.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts) + 1)}


def _top(module: str) -> str:
    return module.split(".")[0]


def _said(text: str) -> bool:
    return bool(text.strip()) and not TODO.search(text)

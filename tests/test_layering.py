"""The import directions of the package; `contract.layering` has those of papers and notebooks."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from reviewlib import contract, drafts

SRC = Path(__file__).parents[1] / "src" / "reviewlib"
STUDY_FREE = (
    *("train", "stages", "replicas", "ragged", "watch", "models", "storage"),
    *(str(path.relative_to(SRC).with_suffix("")) for path in sorted(SRC.glob("data/**/*.py"))),
)


def imported(path: Path) -> set[str]:
    """Return every module that a file imports, at any depth of the file."""
    return set(drafts.imports(ast.parse(path.read_text(encoding="utf8"))))


def ours(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, without the package's name."""
    names = {name.split(".", 1)[1] for name in imported(path) if name.startswith("reviewlib.")}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("module", STUDY_FREE)
def test_the_loop_and_the_data_know_nothing_of_studies(module):
    assert ours(SRC / f"{module}.py") <= set(STUDY_FREE) | {"data"}


@pytest.mark.parametrize("module", ["stats", "verdicts"])
def test_statistics_know_nothing_of_torch(module):
    code = f"import sys, reviewlib.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("path", sorted(SRC.glob("*.py")), ids=lambda path: path.stem)
def test_the_harness_imports_no_paper(path):
    assert not any(name.startswith("reviewlib.papers.") for name in imported(path))


def test_a_study_needs_no_notebook_tools():
    code = (
        "import sys, reviewlib.compare, reviewlib.cli, reviewlib.contract\n"
        "from reviewlib import study\n"
        "[study.find(name) for name in study.found()]\n"
        f"sys.exit(', '.join({set(contract.NOTEBOOK_TOOLS)} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

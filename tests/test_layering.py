"""The rooms stand in one order, and each imports only rooms to its left."""

import ast
import subprocess
import sys
from importlib.util import resolve_name
from pathlib import Path

import pytest

from reviewlib import sources
from reviewlib.author.rules.files import NOTEBOOK_TOOLS

SRC = sources.PACKAGE
# Rooms in one line may import each other.
ROOMS = (
    ("storage", "sources"),
    ("data",),
    ("train",),
    ("trial",),
    ("evidence",),
    ("page",),
    ("book",),
    ("author", "terminal", "options", "building", "cli", "__main__"),
)
ORDER = {room: place for place, rooms in enumerate(ROOMS) for room in rooms}
# A paper stands on the page: its figures draw, the rest of it must run on a bare GPU box.
PAPER, DRAWS = ORDER["trial"], ORDER["page"]
FILES = sorted(path.relative_to(SRC) for path in SRC.rglob("*.py"))
PAPERS = {file.parts[1] for file in FILES if file.parts[0] == "papers" and len(file.parts) > 2}
TOP = Path("__init__.py")  # the package itself stands in no room


def place_of(file: Path) -> int:
    """Return how far to the right a file stands."""
    if file.parts[0] == "papers":
        return DRAWS if "figures" in (file.stem, file.parent.name) else PAPER
    return ORDER[file.with_suffix("").parts[0]]


def in_room(room: str) -> Path:
    """Return the file that a room is, or a new file in its folder."""
    return Path(room, "new.py") if (SRC / room).is_dir() else Path(f"{room}.py")


def wrong(file: Path, text: str) -> list[str]:
    """Return what a file must not import: rooms to its right, and papers from the harness."""
    package = ".".join((SRC.name, *file.parent.parts))
    found = (resolve_name(name, package) for name in sources.imports(ast.parse(text)))
    names = [name.split(".") for name in found if name.startswith("reviewlib.")]
    right = [".".join(name) for name in names if ORDER.get(name[1], -1) > place_of(file)]
    papers = [".".join(name) for name in names if name[1] == "papers" and PAPERS & {*name[2:3]}]
    return right + (papers if file.parts[0] != "papers" else [])


@pytest.mark.parametrize("file", [file for file in FILES if file != TOP], ids=str)
def test_a_file_imports_only_rooms_to_its_left(file):
    assert wrong(file, (SRC / file).read_text(encoding="utf8")) == []


@pytest.mark.parametrize("room", [room for rooms in ROOMS[:-1] for room in rooms])
def test_an_import_from_the_next_room_is_noticed(room):
    for other in ROOMS[ORDER[room] + 1]:
        text = f"def f():\n    from reviewlib.{other} import x"
        assert wrong(in_room(room), text)


@pytest.mark.parametrize("room", ["data", "train", "trial", "evidence", "page"])
@pytest.mark.parametrize("text", ["from ..book import build", "from .. import book"])
def test_a_relative_import_from_the_right_is_noticed(room, text):
    assert wrong(in_room(room), text)
    assert wrong(in_room("storage"), text.replace("..", "."))
    assert wrong(in_room("author"), text) == []


@pytest.mark.parametrize("room", ORDER)
@pytest.mark.parametrize(
    "text",
    [
        "from reviewlib.papers.sam.method import SAM",
        "from reviewlib.papers.sam import study",
        "from reviewlib.papers import sam",
        "import reviewlib.papers.sam",
    ],
)
def test_a_paper_in_the_harness_is_noticed(room, text):
    assert wrong(in_room(room), text)
    assert wrong(in_room("author"), "from reviewlib.papers import find") == []


def test_a_papers_study_draws_nothing_and_its_figures_do():
    text = "from reviewlib.page.drawing import panels"
    assert wrong(Path("papers/new/study.py"), text)
    assert wrong(Path("papers/new/figures.py"), text) == []
    assert wrong(Path("papers/new/figures/curves.py"), text) == []


def test_every_file_has_a_room():
    rooms = {*ORDER, "papers", "__init__"}
    assert {file.with_suffix("").parts[0] for file in FILES} <= rooms


def test_the_evidence_imports_no_torch_itself():
    for file in FILES:
        if file.parts[0] == "evidence":
            tree = ast.parse((SRC / file).read_text(encoding="utf8"))
            assert "torch" not in {name.split(".")[0] for name in sources.imports(tree)}, file


@pytest.mark.parametrize("module", ["stats", "contrasts", "verdicts", "units", "history"])
def test_statistics_and_verdicts_load_no_torch(module):
    code = f"import sys, reviewlib.evidence.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_study_needs_no_notebook_tools():
    tools = set(NOTEBOOK_TOOLS) - {"reviewlib.book"}  # the command line reads its limits there
    code = (
        "import sys, reviewlib.evidence.make, reviewlib.cli, reviewlib.author.rules\n"
        "from reviewlib import papers\n"
        "[papers.find(name) for name in papers.found()]\n"
        f"sys.exit(', '.join({tools} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

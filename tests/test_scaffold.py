"""A new chapter: what is written, and what is refused."""

import pytest
from typer.testing import CliRunner

from reviewlib import cli, pairing, scaffold

PAPER = "src/reviewlib/papers/confidence"
SKELETON = {
    f"{PAPER}/__init__.py",
    f"{PAPER}/method.py",
    f"{PAPER}/study.py",
    "notebooks/confidence.py",
    "notebooks/confidence.ipynb",
    "tests/papers/test_confidence.py",
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "src" / "reviewlib" / "papers").mkdir(parents=True)
    (tmp_path / "_config.yml").touch()
    return tmp_path


def files(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def new(root, name):
    return CliRunner().invoke(cli.app, ["new", name, "--root", str(root)])


def test_a_skeleton_is_complete_and_in_step(root):
    before = files(root)
    done = new(root, "confidence")
    assert done.exit_code == 0 and "reviewlib check confidence" in done.stderr
    assert files(root) - before == SKELETON
    assert set(done.stdout.splitlines()) == {f"wrote {root / place}" for place in SKELETON}
    assert pairing.check(root / "notebooks") == []


@pytest.mark.parametrize("name", ["2fast", "a-b", "SAM", "class", "é", "../x", "_x", ""])
def test_a_name_that_could_not_be_imported_is_refused(name, root):
    before = files(root)
    done = new(root, name)
    assert done.exit_code == 1
    assert f"must be a lower-case identifier and no keyword, got {name!r}" in done.stderr
    assert files(root) == before


@pytest.mark.parametrize(
    "place",
    [
        "src/reviewlib/papers/probe/records/laptop.json",
        "notebooks/probe.py",
        "notebooks/probe.ipynb",
        "tests/papers/test_probe.py",
        "tests/test_probe.py",
    ],
)
def test_a_name_that_is_taken_is_refused_and_nothing_overwritten(place, root):
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text("mine")
    before = files(root)
    done = new(root, "probe")
    assert done.exit_code == 1 and "probe is taken: there is" in done.stderr
    assert files(root) == before and (root / place).read_text() == "mine"


def test_a_folder_without_the_source_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no src/reviewlib/papers: take a checkout"):
        scaffold.write(tmp_path, "probe")

"""A new chapter: what is written, what is refused, and the whole walk of CONTRIBUTING.md."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reviewlib import cli, sources
from reviewlib.author import scaffold
from reviewlib.book import freshness, notebooks, pairing
from reviewlib.trial.declare import Arm, Claim, Condition, Hyperparameter, Preset, Study

ROOT = Path(__file__).parents[2]
PAPER = "src/reviewlib/papers/confidence"
RECORDS = {
    f"{PAPER}/records/{name}.json" for name in ("history", "laptop", "quick", "registrations")
}
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


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of this tree under git, and what runs a shell script in it."""
    root = tmp_path_factory.mktemp("walk") / "book"
    generated = (".git", ".venv", "_build*", "_executed", ".*_cache", ".hypothesis", "__pycache__")
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*generated, "*.egg-info"))
    commands = root.parent / "bin"
    commands.mkdir()
    for command in ("python", "reviewlib", "pytest", "ruff"):
        module = "" if command == "python" else f"-m {command}"
        (commands / command).write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
        (commands / command).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root / "src"),
        "XDG_CACHE_HOME": str(root.parent / "cache"),
    }

    def shell(script):
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    shell("git init -q && git config user.name walker && git config user.email walker@localhost")
    shell("git add . && git commit -qm 'The tree as it is' && git tag start")
    return root, shell


def section(heading):
    """Return a section of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf8")
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("declared", [Arm, Condition, Hyperparameter, Preset, Claim, Study])
def test_authors_are_told_every_field_of_what_they_declare(declared):
    told = set(re.findall(r"\w+", section("What you can use")))
    names = {each.name for each in fields(declared)} - {"kind"}  # gain, no_loss, out_of_scope
    assert names <= told


def walk():
    """Return the shell blocks of the section about a new paper."""
    blocks = r"^```bash\n(.*?)^```$"
    return re.findall(blocks, section("A new paper"), re.DOTALL | re.MULTILINE)


def stand_in_for_other_chapters(root, monkeypatch):
    """Put copies that were never run, with today's keys, where the other chapters' outputs go.

    Tests of their own run these chapters, and that takes longer than all the rest of the walk.
    """
    monkeypatch.setattr(sources, "PACKAGE", root / "src" / "reviewlib")
    for path in (root / "notebooks").glob("*.ipynb"):
        if path.stem != "confidence":
            key = freshness.of_notebook(path.stem, notebooks.read(path), {})
            (root / "_executed" / path.name).write_text(
                notebooks.cleaned(path.read_text(), key, {})
            )


@pytest.mark.slow  # runs a study and builds a book
def test_the_walk_through_a_new_paper_works_and_changes_no_existing_file(tree, monkeypatch):
    root, shell = tree
    start, idea, claims, registration, run, book = walk()
    said = shell(start)
    items = [line for line in said.splitlines() if line.startswith("       - ")]
    named = re.compile(r"       - \S+(, line \d+)?: .*")
    assert len(items) > 20 and all(map(named.fullmatch, items))
    assert "clean, ours: validation accuracy" in said and "laptop: about" in said
    assert not (root / PAPER / "records").exists()
    for block in (idea, claims, registration, run):
        shell(block)
    stand_in_for_other_chapters(root, monkeypatch)
    shell(book)
    page = (root / "_build" / "html" / "notebooks" / "confidence.html").read_text()
    assert "A penalty on confidence makes a net more accurate." in page
    assert "At this scale:" in page

    for place in SKELETON:
        (root / place).write_text((root / place).read_text().replace("TODO: ", ""))
    shell("reviewlib pair && reviewlib check confidence")
    shell(f"ruff format --check {' '.join(sorted(SKELETON))}")
    changes = shell("git add . && git diff --cached --name-status start").splitlines()
    assert set(changes) == {f"A\t{place}" for place in SKELETON | RECORDS}

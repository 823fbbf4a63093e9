"""What makes a notebook run again, or the book be built again, and what does not."""

import json

import pytest

from reviewlib import sources
from reviewlib.book import freshness

PACKAGE = {
    "__init__.py": "",
    "study.py": "",
    "page/__init__.py": "",
    "page/chapter.py": "from reviewlib import study",
    "cli.py": "import reviewlib.book.build, reviewlib.author.draft",
    "book/build.py": "",
    "book/sphinx/extension.py": "from reviewlib.papers.a import study",
    "author/draft.py": "",
    "papers/__init__.py": "",
    "papers/a/__init__.py": "",
    "papers/a/study.py": "from reviewlib.papers.a import history, method",
    "papers/a/method.py": "",
    "papers/a/history.py": "",
    "papers/a/figures.py": "",
    "papers/a/records/laptop.json": "[]",
    "papers/b/__init__.py": "",
    "papers/b/study.py": "from reviewlib.papers.b import method",
    "papers/b/method.py": "",
    "papers/b/records/laptop.json": "[]",
}
A, B, ALL = {"a"}, {"b"}, {"a", "b"}


def notebook(source="from reviewlib.page import chapter", **metadata):
    return {"cells": [{"cell_type": "code", "source": [source], "metadata": metadata}]}


def key(name="a", source="from reviewlib.page import chapter", parameters=None, **metadata):
    return freshness.of_notebook(name, notebook(source, **metadata), parameters or {})


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a page, a book, an author's tools and two papers."""
    folder = tmp_path / "reviewlib"
    for name, text in PACKAGE.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(sources, "PACKAGE", folder)
    monkeypatch.delenv("REVIEWLIB_PRESET", raising=False)
    return folder


@pytest.mark.parametrize(
    ("edited", "stale"),
    [
        ("papers/b/method.py", B),
        ("papers/b/study.py", B),
        ("papers/b/records/laptop.json", B),
        ("papers/b/records/gpu.json", B),
        ("papers/a/records/laptop.json", A),
        ("papers/a/history.py", A),
        ("papers/a/figures.py", A),
        ("papers/__init__.py", ALL),
        ("page/chapter.py", ALL),
        ("study.py", ALL),
        ("cli.py", set()),
        ("book/build.py", set()),
        ("book/sphinx/extension.py", set()),
        ("author/draft.py", set()),
        ("papers/c/study.py", set()),
        ("papers/a/records/.hidden", set()),
    ],
)
def test_only_chapters_that_rest_on_an_edited_file_run_again(package, edited, stale):
    def keys():
        cell = "from reviewlib.page import chapter\nfrom reviewlib.papers.a import figures"
        return {"a": key("a", cell), "b": key("b")}

    before = keys()
    (package / edited).parent.mkdir(exist_ok=True, parents=True)
    (package / edited).write_text("edited = True")
    assert {name for name, was in before.items() if keys()[name] != was} == stale


def test_cells_metadata_parameters_and_preset_count(package, monkeypatch):
    keys = [key(), key(parameters={"n": "4"}), key(source="2"), key(tags=["hide-input"])]
    monkeypatch.setenv("REVIEWLIB_PRESET", "laptop")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_the_version_of_a_library_counts(package, tmp_path, monkeypatch):
    monkeypatch.setattr(freshness, "LIBRARIES", ("probe",))
    keys = [key()]
    for number in ("1.0", "2.0"):
        place = tmp_path / number / f"probe-{number}.dist-info"
        place.mkdir(parents=True)
        (place / "METADATA").write_text(f"Name: probe\nVersion: {number}\n")
        monkeypatch.syspath_prepend(place.parent)
        keys.append(key())
    assert len(set(keys)) == 3


def test_metadata_of_the_notebook_do_not_count(package):
    other = json.loads(json.dumps(notebook() | {"metadata": {"kernelspec": "another"}}))
    assert freshness.of_notebook("a", other, {}) == key()


@pytest.mark.parametrize("place", ["a cell", "a module"])
def test_where_imports_cannot_be_read_every_file_counts(package, place):
    source = "%time 1\nimport reviewlib.cli" if place == "a cell" else "import reviewlib.study"
    if place == "a module":
        (package / "study.py").write_text("def (")
    before = key(source=source)
    (package / "author" / "draft.py").write_text("edited = True")
    assert key(source=source) != before


def test_text_cells_are_not_read_as_code(package):
    before = freshness.files_of("a", notebook())
    text = {"cell_type": "markdown", "source": "No code: (", "metadata": {}}
    assert freshness.files_of("a", {"cells": [*notebook()["cells"], text]}) == before


def test_the_key_of_the_book_follows_its_files_and_the_package_and_not_logs_or_caches(
    package, tmp_path
):
    root = tmp_path / "root"
    (root / "_executed").mkdir(parents=True)
    (package / "__pycache__").mkdir()
    keys = [freshness.of_book(root)]
    (root / "_executed" / "a.log").write_text("seconds")
    (package / "__pycache__" / "cli.pyc").write_text("")
    assert freshness.of_book(root) == keys[0]
    for path in (root / "_executed" / "a.ipynb", root / "_toc.yml", package / "cli.py"):
        path.write_text("edited")
        keys.append(freshness.of_book(root))
    assert len(set(keys)) == len(keys)

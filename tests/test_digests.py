"""What makes a notebook run again, and what does not."""

import json

import pytest

from reviewlib import digests


def notebook(source="1", **metadata):
    return {"cells": [{"cell_type": "code", "source": [source], "metadata": metadata}]}


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "method.py").write_text("x = 1\n")
    monkeypatch.setattr(digests, "PACKAGE", tmp_path)
    monkeypatch.delenv("REVIEWLIB_PRESET", raising=False)
    return tmp_path


def test_the_key_follows_everything_that_outputs_follow_from(package, monkeypatch):
    keys = [digests.of_notebook(notebook(), {}), digests.of_notebook(notebook(), {"n": "4"})]
    monkeypatch.setenv("REVIEWLIB_PRESET", "laptop")
    keys.append(digests.of_notebook(notebook(), {}))
    monkeypatch.delenv("REVIEWLIB_PRESET")
    (package / "records.json").write_text("[]")
    keys.append(digests.of_notebook(notebook(), {}))
    (package / "method.py").write_text("x = 2\n")
    keys.append(digests.of_notebook(notebook(), {}))
    monkeypatch.setattr(digests, "_versions", lambda names: {"torch": "0"})
    keys.append(digests.of_notebook(notebook(), {}))
    keys.append(digests.of_notebook(notebook(tags=["hide-input"]), {}))
    keys.append(digests.of_notebook(notebook(mystnb={"image": {"alt": "a curve"}}), {}))
    keys.append(digests.of_notebook(notebook("2"), {}))
    assert len(set(keys)) == len(keys)


def test_the_key_leaves_out_what_no_output_follows_from(package):
    key = digests.of_notebook(notebook(), {})
    (package / "cli.py").write_text("# of no concern to a notebook")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "method.pyc").write_text("")
    other = json.loads(json.dumps(notebook() | {"metadata": {"kernelspec": "another"}}))
    assert digests.of_notebook(other, {}) == key


def test_only_modules_that_exist_are_left_out_of_the_key():
    assert {path.name for path in digests.PACKAGE.rglob("*.*")} >= digests.OUTSIDE_NOTEBOOKS


def test_the_digest_of_the_book_follows_its_files_and_not_its_logs(package, tmp_path_factory):
    root = tmp_path_factory.mktemp("book")
    (root / "_executed").mkdir()
    before = digests.of_book(root)
    (root / "_executed" / "a.log").write_text("seconds")
    assert digests.of_book(root) == before
    (root / "_executed" / "a.ipynb").write_text("{}")
    assert digests.of_book(root) != before

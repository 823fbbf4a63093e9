"""Notebook files, whole and damaged."""

import json

import pytest
import smallbook

from reviewlib.book import notebooks

NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "source": ["n = 1"], "metadata": {"tags": ["parameters"]}},
        {"cell_type": "code", "source": "%time\n", "metadata": {}, "outputs": ["42"]},
    ],
    "metadata": {},
}


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text(notebooks.cleaned(json.dumps(NOTEBOOK), "key", {"n": "2"}))
    return path


def test_a_copy_is_recognized_by_its_key(copy):
    assert notebooks.holds(copy, "key")
    assert not notebooks.holds(copy, "another")
    assert json.loads(copy.read_text())["metadata"]["reviewlib"]["parameters"] == {"n": "2"}


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "[" * 100_000, '{"metadata": 5}', '{"metadata": {"reviewlib": {}}}']
)
def test_a_damaged_copy_holds_nothing_and_a_damaged_notebook_is_named_so(copy, text):
    copy.write_text(text)
    assert not notebooks.holds(copy, "key")
    with pytest.raises(ValueError, match="not a notebook: "):
        notebooks.read(copy)


def test_a_copy_that_is_cut_binary_or_edited_holds_nothing(copy):
    whole = copy.read_bytes()
    for content in (whole[: len(whole) // 2], b"\xff" + whole, whole.replace(b"42", b"43")):
        copy.write_bytes(content)
        assert not notebooks.holds(copy, "key")
    copy.unlink()
    copy.mkdir()
    assert not notebooks.holds(copy, "key")


def test_parameters_must_be_assigned_in_the_cell_for_them():
    notebooks.check("a", NOTEBOOK, {"n": "2"})
    with pytest.raises(ValueError, match="notebook a has no parameter 'm'; it has n"):
        notebooks.check("a", NOTEBOOK, {"m": "2"})
    broken = json.loads(json.dumps(NOTEBOOK).replace("n = 1", "n ="))
    notebooks.check("a", broken, {})
    with pytest.raises(ValueError, match="the parameters cell of notebook a is no Python"):
        notebooks.check("a", broken, {"n": "2"})


def test_a_chapter_is_read_as_it_was_written(tmp_path):
    smallbook.write(tmp_path, {"a": ["1", "2"]})
    (path,) = notebooks.select(tmp_path / "notebooks", None)
    assert [notebooks.tags(cell) for cell in notebooks.read(path)["cells"]] == [[], []]

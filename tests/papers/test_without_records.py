"""A chapter's own figures and notebook, while the paper has no records yet."""

import inspect
from importlib import import_module

import pytest

from reviewlib import papers
from reviewlib.evidence.store import Store
from reviewlib.page.chapter import Chapter


@pytest.mark.parametrize("name", papers.found())
def test_what_shows_records_says_that_there_are_none(name, tmp_path, shown):
    study = papers.find(name)
    page = Chapter(study, study.preset("quick"), "cpu", Store(tmp_path))
    module = import_module(f"{papers.__name__}.{name}.figures")
    shows = [each for word, each in vars(module).items() if word.startswith("show_")]
    for show in shows:
        more = list(inspect.signature(show).parameters)[1:]
        returned = show(page, *more)
        assert returned is None or returned.data == "No records yet."
    lines = [bundle["text/markdown"] for bundle in shown()]
    assert shows and set(lines) <= {"No records yet."}

"""Fixtures of the unit tests."""

import copy
import signal
import sys
from dataclasses import replace
from types import ModuleType

import pytest
import toy
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from reviewlib import papers
from reviewlib.evidence import registration
from reviewlib.evidence.make import make
from reviewlib.evidence.store import BOOK


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Let the programs that tests start be interrupted, though the tests run in the background.

    A shell starts those with SIGINT ignored, which is inherited.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """Keep the user's cache out of the test, and the test out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


class Module:
    """Stands in for a paper's study.py; a new copy each time, so that fingerprints are replayed."""

    def __init__(self, study):
        self._study = study

    @property
    def STUDY(self):
        return copy.copy(self._study)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty shelf in place of the book's papers; return what puts a study on it."""
    folder = tmp_path / "papers"
    folder.mkdir()
    monkeypatch.setattr(papers, "__path__", [str(folder)])

    def put(study):
        (folder / study.name).mkdir(exist_ok=True)
        for file in ("__init__.py", "study.py"):
            (folder / study.name / file).touch()
        monkeypatch.setitem(sys.modules, f"{papers.__name__}.{study.name}.study", Module(study))

    return put


@pytest.fixture
def published(shelf, own_cache):
    """Return what puts a study on the shelf with its record, as made under a registration.

    The commit is not here, as in a book that is installed without its repository.
    """

    def put(study, record, **made):
        shelf(study)
        if not registration.read(study.name):
            registration.register(study, "the first")
        under = {"registration": study.results_version, "commit": "c0ffee0"}
        record = replace(record, provenance=record.provenance | under | made)
        BOOK.save(record)
        return record

    return put


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """The record of the toy study, run in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return make(toy.study(), toy.TINY)


@pytest.fixture
def shown(tmp_path_factory, monkeypatch):
    """Return what was displayed so far, each thing by MIME type, as a notebook would get it."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    options = Config({"HistoryManager": {"enabled": False}})
    InteractiveShell.instance(config=options, user_module=ModuleType("shown"))
    with capture_output(stdout=False, stderr=False) as captured:
        yield lambda: [output.data for output in captured.outputs]
    InteractiveShell.clear_instance()

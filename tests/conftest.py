"""Fixtures of the unit tests."""

import signal

import pytest
import toy

from reviewlib import compare


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


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """The record of the toy study, run in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return compare.run_study(toy.study(), toy.TINY)

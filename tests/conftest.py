"""Fixtures of the unit tests."""

import pytest


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """Keep the user's cache out of the test, and the test out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder

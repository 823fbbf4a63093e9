"""Fixtures of the tests of pages."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
import toy

from reviewlib.evidence.make import make
from reviewlib.evidence.store import Store
from reviewlib.page.chapter import Chapter

QUICK = replace(toy.TINY, name="quick", settings_from="laptop")


@pytest.fixture(autouse=True)
def closed():
    """Close the figures of a test."""
    yield
    plt.close("all")


@pytest.fixture
def open_page(tmp_path, own_cache):
    """Return what opens a page of the toy study on a record, in a cache of its own."""

    def page(record, preset=QUICK, **changes):
        store = Store(tmp_path / "records")
        store.save(record)
        return Chapter(toy.study(presets=(QUICK, toy.TINY), **changes), preset, "cpu", store)

    return page


@pytest.fixture
def page(open_page, record):
    """A page of the toy study that rests on its laptop record."""
    return open_page(record)


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    """The record of a study with controls and a measure of sharpness."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        record = make(toy.study(**toy.CONTROLLED), toy.TINY)
    assert record.rows["top_eigenvalue"].notna().all()
    return record

"""Settings for all tests: the smallest preset, one thread, no surprises between runs."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from reviewlib.book.notebooks import own_kernel

# What is set by hand wins; kernels that nbmake starts inherit both.
os.environ.setdefault("REVIEWLIB_PRESET", "quick")
os.environ.setdefault("OMP_NUM_THREADS", "1")
KERNEL = tempfile.TemporaryDirectory()
os.environ |= own_kernel(Path(KERNEL.name))  # whatever kernels the user has


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.notebook)


@pytest.fixture(autouse=True)
def one_thread():
    # Tests that do without torch do not pay for its import.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)

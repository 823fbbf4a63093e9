"""What `make bench` does with benchmarks that are out of bounds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# `make test` hands its own state on to every make that it starts.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


@pytest.fixture
def bench(tmp_path):
    """Return what runs `make bench` on benchmarks given as source code, in the order of names."""
    for name in ("requirements.txt", "constraints.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    commands = tmp_path / "venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "python").symlink_to(sys.executable)
    (tmp_path / "venv" / ".installed").touch()
    (tmp_path / "benchmarks").mkdir()

    def run(**sources):
        for name, source in sources.items():
            (tmp_path / "benchmarks" / f"{name}.py").write_text(source)
        command = ["make", "bench", "VENV=venv"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=CLEAN)

    return run


def test_all_benchmarks_run_and_those_out_of_bounds_are_named_at_the_end(bench):
    done = bench(a="print('a ran'); exit(1)", b="print('b ran')", c="1 / 0")
    assert done.returncode != 0
    assert "a ran" in done.stdout and "b ran" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last == "out of bounds or failed: benchmarks/a.py benchmarks/c.py"


def test_benchmarks_within_bounds_end_well(bench):
    done = bench(a="print('a ran')", b="print('b ran')")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "b ran"

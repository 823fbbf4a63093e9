"""Notebooks that run, raise, hang and die. Slow: each starts papermill and a kernel."""

import json
import signal
import subprocess
import sys
import time

import pytest
from orphans import gone, wait_for

from reviewlib import sources
from reviewlib.book import execute, pairing

pytestmark = pytest.mark.slow
TOP = """# %% [markdown]
# # Title

# %% tags=["parameters"]
import os

preset = os.environ.get("REVIEWLIB_PRESET", "quick")
n: int = 3

# %%
print(preset, n + 1)
"""
ENDS = {
    "dies": "# %%\nos._exit(3)\n",
    "fine": "# %%\n# only a comment\n",
    "hangs": "# %%\nimport time\n\ntime.sleep(60)\n",
    "raises": "# %%\nx = 1\n\n# %%\nraise OSError('no such thing\\nsecond line')\n",
}


def notebook(root, name, end):
    folder = root / "notebooks"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.ipynb").write_text(pairing.to_ipynb(TOP + "\n" + end))


@pytest.fixture(scope="module", autouse=True)
def small_package(tmp_path_factory):
    # the key then depends on nothing that another test run may be writing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "PACKAGE", tmp_path_factory.mktemp("package"))
        patch.delenv("REVIEWLIB_PRESET", raising=False)
        yield


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Four notebooks, two at a time; one of them has an older good copy."""
    root = tmp_path_factory.mktemp("book")
    for name, end in ENDS.items():
        notebook(root, name, end)
    (root / "_executed").mkdir()
    (root / "_executed" / "dies.ipynb").write_text("the last good copy")
    told = []
    outcomes = execute.execute(
        root, jobs=2, parameters={"n": "5"}, cell_seconds=2, report=told.append
    )
    return root, {outcome.name: outcome for outcome in outcomes}, told


def test_a_good_notebook_is_executed_with_its_parameters(ran):
    root, outcomes, told = ran
    assert outcomes["fine"].state == "executed"
    assert outcomes["fine"].seconds > 0
    done = json.loads((root / "_executed" / "fine.ipynb").read_text())
    assert done["cells"][3]["outputs"][0]["text"] == ["quick 6\n"]
    assert done["cells"][2]["metadata"]["tags"] == ["injected-parameters", "remove-cell"]
    assert done["metadata"]["reviewlib"]["parameters"] == {"n": "5"}
    assert "papermill" not in json.dumps(done)
    fine = [(of.state, of.cell, of.cells) for of in told if of.name == "fine"]
    assert fine[0] == ("running", None, 4)
    assert fine[-1] == ("executed", None, 4)
    assert ("running", 4, 4) in [(of.state, of.cell, of.cells) for of in told if of.name == "hangs"]


def test_a_raising_cell_fails_in_one_line_and_stops_nothing(ran):
    root, outcomes, _ = ran
    outcome = outcomes["raises"]
    assert (outcome.state, outcome.cell) == ("failed", 5)
    assert outcome.error.startswith("notebook raises, cell 5: OSError: no such thing")
    assert "\n" not in outcome.error
    assert not (root / "_executed" / "raises.ipynb").exists()
    assert (root / "_executed" / "raises.log").stat().st_size > 0


def test_a_killed_kernel_is_not_taken_for_success_and_keeps_the_last_good_copy(ran):
    root, outcomes, _ = ran
    outcome = outcomes["dies"]
    assert (outcome.state, outcome.cell) == ("failed", 4)
    assert "kernel died" in outcome.error
    assert (root / "_executed" / "dies.ipynb").read_text() == "the last good copy"
    assert not any(path.is_dir() for path in (root / "_executed").iterdir())


def test_a_cell_that_takes_too_long_is_named(ran):
    outcome = ran[1]["hangs"]
    assert (outcome.state, outcome.cell) == ("failed", 4)
    assert "the cell took more than 2 s" in outcome.error


def test_equal_runs_are_byte_identical_and_unchanged_ones_are_skipped(ran):
    root = ran[0]
    copy = root / "_executed" / "fine.ipynb"
    first, start = copy.read_bytes(), time.monotonic()
    (outcome,) = execute.execute(root, ["fine"], parameters={"n": "5"})
    assert outcome == execute.Outcome("fine", "unchanged", cells=4)
    assert time.monotonic() - start < 0.5
    (outcome,) = execute.execute(root, ["fine"], parameters={"n": "5"}, force=True)
    assert outcome.state == "executed"
    assert copy.read_bytes() == first


def test_unknown_names_are_refused_before_anything_runs(tmp_path):
    notebook(tmp_path, "a", ENDS["fine"])
    with pytest.raises(ValueError, match="no parameter 'profil'; it has n, preset"):
        execute.execute(tmp_path, parameters={"profil": "quick", "n": "1"})
    with pytest.raises(ValueError, match="no notebook is called 'b'; there are: a"):
        execute.execute(tmp_path, ["b"])
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        execute.execute(tmp_path, jobs=0)
    assert not (tmp_path / "_executed").exists()


def test_a_notebook_that_takes_too_long_is_killed(tmp_path):
    notebook(tmp_path, "slow", ENDS["hangs"])
    (outcome,) = execute.execute(tmp_path, seconds=0.2)
    assert outcome.seconds < 10
    assert outcome.error == "notebook slow: before the first cell: took more than 0.2 s"


PID = "# %%\nfrom pathlib import Path\n\nPath(f'{os.getpid()}.pid').touch()\n"


def running(root):
    """Execute notebooks a and b, one after the other; return the process and a's kernel."""
    program = f"from reviewlib.book import execute; execute.execute({str(root)!r}, jobs=1)"
    process = subprocess.Popen([sys.executable, "-c", program])
    assert wait_for(lambda: list((root / "notebooks").glob("*.pid")), 60)
    (path,) = (root / "notebooks").glob("*.pid")
    return process, int(path.stem)


def test_sigterm_ends_the_kernel_and_starts_no_other_notebook(tmp_path):
    for name in "ab":
        notebook(tmp_path, name, PID + ENDS["hangs"])
    process, kernel = running(tmp_path)
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM
    assert wait_for(lambda: gone(kernel))
    assert not (tmp_path / "_executed" / "b.log").exists()


def test_a_worker_whose_runner_was_killed_ends_at_its_next_cell(tmp_path):
    notebook(tmp_path, "a", PID + 100 * "\n# %%\nimport time\n\ntime.sleep(0.5)\n")
    process, kernel = running(tmp_path)
    process.kill()
    process.wait()
    assert wait_for(lambda: gone(kernel))

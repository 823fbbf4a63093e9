import json
import subprocess
import sys
import threading
import time

import psutil
import pytest

from reviewlib import pairing, publish

TOP = """# %% [markdown]
# # Title

# %% tags=["parameters"]
import os

preset = os.environ.get("REVIEWLIB_PRESET", "quick")
n: int = 3

# %%
print(preset, n)
"""
ENDS = {
    "fine": "# %%\n# only a comment\n",
    "raises": "# %%\nx = 1\n\n# %%\nraise OSError('no such thing\\nsecond line')\n",
    "dies": "# %%\nos._exit(3)\n",
}


def notebook(root, name, end):
    folder = root / "notebooks"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.ipynb").write_text(pairing.to_ipynb(TOP + "\n" + end))


@pytest.fixture(autouse=True)
def small_package(tmp_path, monkeypatch):
    # the key then depends on nothing that another test run may be writing
    package = tmp_path / "package"
    package.mkdir()
    (package / "method.py").write_text("x = 1\n")
    (package / "cli.py").write_text("")
    monkeypatch.setattr(publish, "PACKAGE", package)
    monkeypatch.delenv("REVIEWLIB_PRESET", raising=False)
    return package


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Three notebooks at once, one of which has an older good copy."""
    root = tmp_path_factory.mktemp("book")
    for name, end in ENDS.items():
        notebook(root, name, end)
    (root / "_executed").mkdir()
    (root / "_executed" / "dies.ipynb").write_text("the last good copy")
    told = []
    patch = pytest.MonkeyPatch()
    patch.setattr(publish, "PACKAGE", root / "notebooks")
    patch.delenv("REVIEWLIB_PRESET", raising=False)
    outcomes = publish.execute(
        root, jobs=3, parameters={"n": 5}, report=lambda *event: told.append(event[:2])
    )
    patch.undo()
    return root, {outcome.name: outcome for outcome in outcomes}, told


def test_a_good_notebook_is_executed_with_its_parameters(ran):
    root, outcomes, told = ran
    assert outcomes["fine"].state == "executed"
    assert outcomes["fine"].seconds > 0
    done = json.loads((root / "_executed" / "fine.ipynb").read_text())
    assert done["cells"][3]["outputs"][0]["text"] == ["quick 5\n"]
    assert done["cells"][2]["metadata"]["tags"] == ["injected-parameters", "remove-cell"]
    assert done["metadata"]["reviewlib"]["parameters"] == {"n": 5}
    assert "papermill" not in json.dumps(done)
    assert ("fine", "running") in told
    assert ("fine", "executed") in told


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
    assert not [path for path in (root / "_executed").iterdir() if path.name.startswith(".")]


def test_equal_runs_are_byte_identical_and_unchanged_ones_are_skipped(tmp_path, small_package):
    notebook(tmp_path, "a", ENDS["fine"])
    copy = tmp_path / "_executed" / "a.ipynb"
    publish.execute(tmp_path)
    first = copy.read_bytes()
    (small_package / "cli.py").write_text("# of no concern to a notebook")
    start = time.monotonic()
    assert [o.state for o in publish.execute(tmp_path)] == ["unchanged"]
    assert time.monotonic() - start < 0.5
    assert [o.state for o in publish.execute(tmp_path, ["a"], force=True)] == ["executed"]
    assert copy.read_bytes() == first


def test_the_key_follows_everything_that_outputs_follow_from(tmp_path, small_package, monkeypatch):
    notebook(tmp_path, "a", ENDS["fine"])
    path = tmp_path / "notebooks" / "a.ipynb"
    keys = [publish._key(path, {})]
    keys.append(publish._key(path, {"n": 4}))
    monkeypatch.setenv("REVIEWLIB_PRESET", "laptop")
    keys.append(publish._key(path, {}))
    monkeypatch.delenv("REVIEWLIB_PRESET")
    (small_package / "records.json").write_text("[]")
    keys.append(publish._key(path, {}))
    (small_package / "method.py").write_text("x = 2\n")
    keys.append(publish._key(path, {}))
    monkeypatch.setattr(publish, "_versions", lambda names: {"torch": "0"})
    keys.append(publish._key(path, {}))
    notebook(tmp_path, "a", "# %% tags=['hide-input']\n# only a comment\n")
    keys.append(publish._key(path, {}))
    notebook(tmp_path, "a", "# %%\n1\n")
    keys.append(publish._key(path, {}))
    assert len(set(keys)) == len(keys)


def test_unknown_names_are_refused_before_anything_runs(tmp_path):
    notebook(tmp_path, "a", ENDS["fine"])
    with pytest.raises(ValueError, match="no parameter 'profil'; it has n, preset"):
        publish.execute(tmp_path, parameters={"profil": "quick", "n": 1})
    with pytest.raises(ValueError, match="no notebook is called 'b'; there are: a"):
        publish.execute(tmp_path, ["b"])
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        publish.execute(tmp_path, jobs=0)
    assert not (tmp_path / "_executed").exists()


def test_a_notebook_that_takes_too_long_is_killed(tmp_path):
    notebook(tmp_path, "slow", "# %%\nimport time\n\ntime.sleep(60)\n")
    start = time.monotonic()
    (outcome,) = publish.execute(tmp_path, notebook_seconds=0.5)
    assert time.monotonic() - start < 10
    assert outcome.state == "failed"
    assert "took more than 0.5 s" in outcome.error


def test_a_cell_that_takes_too_long_is_named(tmp_path):
    notebook(tmp_path, "slow", "# %%\nimport time\n\ntime.sleep(60)\n")
    (outcome,) = publish.execute(tmp_path, cell_seconds=1)
    assert outcome.cell == 4
    assert "the cell took more than 1 s" in outcome.error


def test_sigterm_ends_the_kernels_too(tmp_path):
    mark = tmp_path / "pid"
    notebook(
        tmp_path,
        "slow",
        f"# %%\nimport time\n\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n",
    )
    program = f"from reviewlib import publish; publish.execute({str(tmp_path)!r})"
    process = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 20
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    kernel = int(mark.read_text())
    process.terminate()
    assert process.wait(10) == 143
    time.sleep(0.2)
    # where nobody reaps orphans, a killed one stays as a zombie
    assert not psutil.pid_exists(kernel) or psutil.Process(kernel).status() == psutil.STATUS_ZOMBIE


def fake_sphinx(pages):
    def run(root, work):
        site = work / "_build" / "html"
        site.mkdir(parents=True)
        (site / "index.html").write_text(pages)
        return ["WARNING: undefined label"] if "warn" in pages else []

    return run


def test_build_keeps_the_last_good_book_and_skips_what_did_not_change(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").write_text("title: x")
    calls = []

    def sphinx(pages):
        def run(root, work):
            calls.append(pages)
            return fake_sphinx(pages)(root, work)

        monkeypatch.setattr(publish, "_sphinx", run)

    sphinx("good")
    index = publish.build(tmp_path)
    assert index.read_text() == "good"
    publish.build(tmp_path)
    assert calls == ["good"]

    (tmp_path / "_config.yml").write_text("title: y")
    sphinx("warn")
    with pytest.raises(publish.BuildError, match="undefined label"):
        publish.build(tmp_path)
    assert index.read_text() == "good"
    assert (tmp_path / "_build.failed" / "_build" / "html" / "index.html").read_text() == "warn"

    sphinx('<a href="gone.html">x</a>')
    with pytest.raises(publish.BuildError, match="index.html: gone.html leads nowhere"):
        publish.build(tmp_path)
    assert index.read_text() == "good"

    sphinx("better")
    assert publish.build(tmp_path).read_text() == "better"
    assert not (tmp_path / "_build.failed").exists()
    assert sorted(path.name for path in (tmp_path / "_build").iterdir()) == ["html"]
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/else")
    publish.build(tmp_path)
    assert calls == ["good", "warn", '<a href="gone.html">x</a>', "better", "better"]


def test_build_names_every_failed_notebook(tmp_path, monkeypatch):
    failed = [publish.Outcome(name, "failed", 1.0, f"notebook {name}: no") for name in "ab"]
    monkeypatch.setattr(publish, "execute", lambda *args, **kwargs: failed)
    with pytest.raises(publish.BuildError, match="notebook a: no\nnotebook b: no"):
        publish.build(tmp_path)


def test_parameters_are_handed_over_with_their_types():
    options = publish._parameter_options({"preset": "gpu", "seeds": [1, 2], "lr": 1e-5})
    assert options[:3] == ["-p", "preset", "gpu"]
    assert options[3:] == ["-y", "seeds:\n- 1\n- 2\n", "-y", "lr: 1.0e-05\n"]


def test_publishing_does_without_torch():
    program = "import sys, reviewlib.publish; assert not {'torch', 'sphinx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_sigterm_handling_is_left_alone_outside_the_main_thread():
    faults = []

    def enter():
        try:
            with publish._sigterm_raises():
                pass
        except ValueError as error:
            faults.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert not faults

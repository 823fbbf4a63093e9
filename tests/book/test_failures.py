"""What can go wrong under the runner, provoked for real, through the command line.

In each case the others finish, one line names notebook, cell and cause, the exit code is not zero,
no kernel is left, and the last good copies and the last good book stay. Slow: each starts kernels.
"""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
import smallbook
from disks import mounted
from orphans import gone, wait_for

pytestmark = pytest.mark.slow
PID = "import os, pathlib\npathlib.Path(f'{os.getpid()}.pid').touch()"
HANG = "import time\n\ntime.sleep(600)"
MEMORY = """import resource

pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**27,) * 2)
bytearray(2**34)"""
FILL = """try:
    with open("../_executed/filler", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
except OSError:
    print("x" * 2**20)"""
STALE = """from dataclasses import replace

from reviewlib import papers
from reviewlib.page.chapter import Chapter

of = replace(papers.find("sam"), results_version=99)
Chapter(of, of.preset("quick"), "cpu").record"""
TRUNCATED = """import os
from pathlib import Path

data = Path.cwd().parent / "data"
data.mkdir()
(data / "train-images-idx3-ubyte").write_bytes(bytes(1000))
os.environ["REVIEWLIB_DATA"] = str(data)
from reviewlib import data

data.load("fashion-mnist")"""
IMITATES = """print("Executing Cell by cell\\nExecuting Cell 9---", flush=True)
os.kill(os.getpid(), 9)"""
BROKEN = {
    "raises": ("raise OSError('no such thing\\nsecond line')", "OSError: no such thing"),
    "killed": ("os.kill(os.getpid(), 9)", r"the kernel died \(out of memory\?\)"),
    "imitates": (IMITATES, r"the kernel died \(out of memory\?\)"),
    "alone": ("os.kill(os.getppid(), 9)\n" + HANG, "its process ended with -9"),
    "memory": (MEMORY, "MemoryError"),
    "stale": (STALE, "RecordError: study sam has no valid records: .* are stale: .*"),
    "truncated": (TRUNCATED, "DataError: .*/data/train-images-idx3-ubyte .*"),
}
GOOD = {"good": [PID, "1 + 1"], "corrupt": [PID, "2 + 2"], "tampered": [PID, "3 + 3"]}


def command(root, *words):
    return [sys.executable, "-m", "reviewlib", *words, "--root", str(root)]


def call(root, *words, **variables):
    """Run a command; return exit code, states by name, and the lines of stderr."""
    done = subprocess.run(
        command(root, *words, "--json"), capture_output=True, text=True, env=os.environ | variables
    )
    rows = json.loads(done.stdout)
    return done.returncode, {row["name"]: row for row in rows}, done.stderr.splitlines()


def states(rows):
    return {name: row["state"] for name, row in rows.items()}


def kernels(root):
    return [int(path.stem) for path in (root / "notebooks").glob("*.pid")]


def executed(root, name):
    return root / "_executed" / f"{name}.ipynb"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A book of which much is broken, after a build."""
    root = tmp_path_factory.mktemp("book")
    chapters = {name: [PID, source] for name, (source, _) in BROKEN.items()}
    smallbook.write(root, GOOD | chapters)
    (root / "notebooks" / "json.ipynb").write_text('{"cells": [')
    for folder in ("_executed", "_build/html"):
        (root / folder).mkdir(parents=True)
    (root / "_build" / "html" / "index.html").write_text("the last good book")
    for name in [*BROKEN, "json", "corrupt"]:
        executed(root, name).write_text("the last good copy")
    return root, *call(root, "build", "--jobs", "3")


@pytest.mark.parametrize(("name", "cause"), [(name, what[1]) for name, what in BROKEN.items()])
def test_one_line_names_notebook_cell_and_cause_and_the_traceback_follows(ran, name, cause):
    _, _, rows, lines = ran
    line = re.compile(f"error: notebook {name}, cell 2: {cause}")
    (position,) = [at for at, text in enumerate(lines) if line.fullmatch(text)]
    below = rows[name]["traceback"].splitlines()
    assert lines[position + 1 :][: len(below)] == below
    assert any(BROKEN[name][0].splitlines()[-1] in text for text in below)
    assert not any("\x1b" in text for text in below)


def test_a_file_that_is_no_notebook_is_one_line_too(ran):
    _, _, _, lines = ran
    assert any(line.startswith("error: notebook json: not a notebook: ") for line in lines)


def test_the_others_finish_and_the_exit_code_tells(ran):
    _, code, rows, _ = ran
    failed = dict.fromkeys([*BROKEN, "json"], "failed")
    assert code == 1
    assert states(rows) == dict.fromkeys(GOOD, "executed") | failed


def test_no_kernel_is_left(ran):
    found = kernels(ran[0])
    assert len(found) == len(GOOD) + len(BROKEN)
    assert wait_for(lambda: all(map(gone, found)))


def test_the_last_good_copies_and_the_last_good_book_stay(ran):
    root = ran[0]
    assert (root / "_build" / "html" / "index.html").read_text() == "the last good book"
    for name in [*BROKEN, "json"]:
        assert executed(root, name).read_text() == "the last good copy"
    assert "execution_count" in executed(root, "corrupt").read_text()


def test_a_rerun_repeats_only_what_failed_or_was_tampered_with(ran):
    root, *_ = ran
    smallbook.write(root, {"raises": [PID, "1"]})
    copy = executed(root, "tampered")
    before = copy.read_text()
    copy.write_text(before.replace('"6"', '"7"'))
    only = [word for name in (*GOOD, "raises") for word in ("--only", name)]
    code, rows, lines = call(root, "execute", *only)
    assert (code, lines) == (0, [])
    assert states(rows) == {
        "good": "unchanged",
        "corrupt": "unchanged",
        "tampered": "executed",
        "raises": "executed",
    }
    assert copy.read_text() == before


def test_a_cell_and_a_notebook_that_take_too_long_are_ended_with_their_kernels(tmp_path):
    naps = ["import time\n\ntime.sleep(1)"] * 60
    smallbook.write(tmp_path, {"hangs": [PID, HANG], "slow": [PID, *naps]})
    limits = ("--cell-timeout", "3", "--timeout", "15")
    code, rows, lines = call(tmp_path, "execute", *limits)
    assert (code, states(rows)) == (1, {"hangs": "failed", "slow": "failed"})
    assert "error: notebook hangs, cell 2: the cell took more than 3 s" in lines
    (line,) = [line for line in lines if "notebook slow" in line]
    assert re.fullmatch(r"error: notebook slow, cell \d+: took more than 15 s", line)
    assert wait_for(lambda: all(map(gone, kernels(tmp_path))))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_leaves_no_kernel_and_keeps_what_has_finished(tmp_path, number):
    smallbook.write(tmp_path, {"good": GOOD["good"], "slow": [PID, HANG]})
    process = subprocess.Popen(
        command(tmp_path, "execute"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert wait_for(lambda: executed(tmp_path, "good").exists() and len(kernels(tmp_path)) == 2, 60)
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert number != signal.SIGINT or told.startswith("error: stopped; what has finished is kept")
    assert wait_for(lambda: all(map(gone, kernels(tmp_path))))
    assert not executed(tmp_path, "slow").exists()
    assert states(call(tmp_path, "execute", "--only", "good")[1]) == {"good": "unchanged"}


def waiting(root):
    """Start a command while another holds the tree, and see it say that it waits."""
    process = subprocess.Popen(
        command(root, "execute", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr.readline() == "waiting for another build of this tree\n"
    return process


def test_a_second_runner_waits_and_finds_the_work_done(tmp_path):
    wait = "import time\n\nwhile not pathlib.Path('go').exists():\n    time.sleep(0.05)"
    smallbook.write(tmp_path, {"slow": [PID, wait]})
    first = subprocess.Popen(command(tmp_path, "execute"))
    assert wait_for(lambda: kernels(tmp_path), 60)
    second, third = waiting(tmp_path), waiting(tmp_path)
    third.send_signal(signal.SIGINT)
    third.communicate()
    assert (third.returncode, second.poll()) == (130, None)
    (tmp_path / "notebooks" / "go").touch()
    assert json.loads(second.communicate(timeout=60)[0])[0]["state"] == "unchanged"
    assert first.wait() == 0


def test_a_runner_that_is_killed_holds_no_tree(tmp_path):
    smallbook.write(tmp_path, {})
    program = (
        "import sys, time; from pathlib import Path; from reviewlib.book import execute\n"
        "with execute.alone(Path(sys.argv[1]), print):\n"
        "    (Path(sys.argv[1]) / 'held').touch(); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    assert wait_for((tmp_path / "held").exists)
    second = waiting(tmp_path)
    holder.kill()
    assert second.communicate(timeout=60) == ("[]\n", "")
    assert (holder.wait(), second.returncode) == (-signal.SIGKILL, 0)


def test_parameters_without_a_cell_for_them_are_refused_before_anything_runs(tmp_path):
    smallbook.write(tmp_path, {"good": GOOD["good"]})
    code, rows, lines = call(tmp_path, "build", "-p", "preset=quick")
    assert (code, rows) == (1, {})
    assert lines == ["error: notebook good has no parameter 'preset'; it has none"]
    assert not kernels(tmp_path)


def test_a_kernel_of_the_users_surroundings_is_not_used(tmp_path):
    smallbook.write(tmp_path, {"a": ["import sys\n\nprint(sys.executable)"]})
    place = tmp_path / "kernels" / "python3"
    place.mkdir(parents=True)
    spec = {"argv": ["/no/kernel", "{connection_file}"], "display_name": "x", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec))
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("import sys\nsys.executable = 'another'\n")
    around = {"JUPYTER_PATH": str(tmp_path), "IPYTHONDIR": str(tmp_path / "ipython")}
    code, _, lines = call(tmp_path, "execute", **around)
    assert code == 0, lines
    assert sys.executable in (tmp_path / "_executed" / "a.ipynb").read_text()


@pytest.fixture
def disk(tmp_path):
    """Mount disks on the folder of executed notebooks."""
    folder = tmp_path / "_executed"
    folder.mkdir()

    def mount(options):
        if not mounted(folder, options):
            pytest.skip("mounting a disk takes more rights than these")

    yield mount
    subprocess.run(["umount", folder], capture_output=True)


def test_a_disk_that_fills_up_costs_no_finished_notebook(tmp_path, disk):
    disk("size=4m")
    smallbook.write(tmp_path, {"a": ["1"], "b": [PID, FILL]})
    code, rows, lines = call(tmp_path, "execute", "--jobs", "1")
    assert (code, states(rows)) == (1, {"a": "executed", "b": "failed"})
    assert lines[0].startswith(
        f"error: notebook b, cell 2: cannot write to {tmp_path / '_executed'}: "
    )
    assert lines[0].endswith("No space left on device")
    assert wait_for(lambda: all(map(gone, kernels(tmp_path))))

    (tmp_path / "notebooks" / "b.ipynb").unlink()
    code, rows, lines = call(tmp_path, "execute", "--force")
    assert (code, rows, len(lines)) == (1, {}, 1)
    told = f"error: executed notebooks go to {tmp_path / '_executed'}, which must be writable"
    assert lines[0].startswith(told) and "No space left" in lines[0]
    (tmp_path / "_executed" / "filler").unlink()
    assert states(call(tmp_path, "execute")[1]) == {"a": "unchanged"}


def test_a_read_only_folder_is_told_before_anything_runs(tmp_path, disk):
    smallbook.write(tmp_path, {"good": GOOD["good"]})
    (tmp_path / "_executed").chmod(0o500)
    if os.access(tmp_path / "_executed", os.W_OK):  # as root, who may write all the same
        disk("ro")
    code, rows, lines = call(tmp_path, "execute")
    assert (code, rows, len(lines)) == (1, {}, 1)
    assert lines[0].startswith(
        f"error: executed notebooks go to {tmp_path / '_executed'}, which must"
    )
    assert not kernels(tmp_path)

"""Child processes: their output, their limits, and what is left of them (nothing)."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from orphans import PARENT, gone, wait_for

from reviewlib.book import processes

SENDS = """
import sys, time
from multiprocessing.connection import Connection
pipe = Connection(int(sys.argv[1]), readable=False)
pipe.send(1)
pipe.send({"two": 2})
"""


def python(program):
    return [sys.executable, "-c", program]


def test_a_command_gets_its_variables_and_its_output_is_kept(tmp_path):
    log = tmp_path / "log"
    program = "import os, sys; print(os.environ['N'], file=sys.stderr); sys.exit(3)"
    assert processes.run(python(program), log, 60, {"N": "five"}) == 3
    assert log.read_text() == "five\n"


@pytest.mark.slow  # waits until a command has taken too long
@pytest.mark.parametrize(("end", "code"), [("sys.exit(3)", 3), ("time.sleep(60)", None)])
def test_what_a_command_sends_is_heard_before_it_ends_or_is_killed(tmp_path, end, code):
    heard = []
    assert processes.run(python(SENDS + end), tmp_path / "log", 2, hear=heard.append) == code
    assert heard == [1, {"two": 2}]


def test_a_command_that_is_killed_in_the_middle_of_an_object_ends(tmp_path):
    half = "import os, signal\nos.write(int(sys.argv[1]), bytes([0, 0, 1, 0]) + b'half')\n"
    killed = half + "os.kill(os.getpid(), signal.SIGKILL)"
    heard = []
    code = processes.run(python(SENDS + killed), tmp_path / "log", 60, hear=heard.append)
    assert (code, heard) == (-signal.SIGKILL, [1, {"two": 2}])


def test_what_takes_too_long_is_killed_with_all_that_it_started(tmp_path):
    log = tmp_path / "log"
    assert processes.run(python(PARENT), log, 0.5) is None
    assert wait_for(lambda: gone(int(log.read_text())))


def test_a_listener_that_fails_ends_the_command(tmp_path):
    log = tmp_path / "log"

    def fails(message):
        assert wait_for(lambda: log.read_text().endswith("\n"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        processes.run(python(SENDS + PARENT), log, 60, hear=fails)
    assert wait_for(lambda: gone(int(log.read_text())))


def test_stop_ends_what_runs_and_nothing_starts_afterwards(tmp_path):
    log, stop = tmp_path / "log", threading.Event()
    listen = {"hear": [].append, "stop": stop}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(processes.run, python(SENDS + PARENT), log, 60, **listen)
        assert wait_for(lambda: log.exists() and log.read_text().endswith("\n"))
        stop.set()
        assert running.result(10) is None
    assert wait_for(lambda: gone(int(log.read_text())))
    assert processes.run(["true"], tmp_path / "other", 60, stop=stop) is None
    assert not (tmp_path / "other").exists()


def test_signals_are_left_alone_outside_the_main_thread():
    def enter():
        with processes.sigterm_raises():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(enter).result() == signal.getsignal(signal.SIGTERM)


def test_a_signal_that_is_ignored_stays_so_and_handlers_are_put_back():
    program = (
        "import signal\n"
        "from reviewlib.book.processes import sigterm_raises\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with sigterm_raises():\n"
        "    signal.raise_signal(signal.SIGHUP)\n"
        "    assert callable(signal.getsignal(signal.SIGTERM))\n"
        "assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
    )
    subprocess.run(python(program), check=True)

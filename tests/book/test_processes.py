"""Child processes: their output, their limits, and what is left of them (nothing)."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from orphans import PARENT, gone, wait_for

from reviewlib.book import processes


def test_a_command_gets_its_variables_and_its_output_is_kept(tmp_path):
    log = tmp_path / "log"
    program = "import os, sys; print(os.environ['N'], file=sys.stderr); sys.exit(3)"
    children = processes.Children()
    assert children.run([sys.executable, "-c", program], log, 60, {"N": "five"}) == 3
    assert log.read_text() == "five\n"


def test_what_takes_too_long_is_killed_with_all_that_it_started(tmp_path):
    log = tmp_path / "log"
    assert processes.Children().run([sys.executable, "-c", PARENT], log, 0.5) is None
    assert wait_for(lambda: gone(int(log.read_text())))


def test_stop_ends_what_runs_and_nothing_starts_afterwards(tmp_path):
    log, children = tmp_path / "log", processes.Children()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(children.run, [sys.executable, "-c", PARENT], log, 60)
        assert wait_for(lambda: log.exists() and log.read_text().endswith("\n"))
        children.stop()
        with pytest.raises(processes.Stopped):
            running.result()
    assert wait_for(lambda: gone(int(log.read_text())))
    with pytest.raises(processes.Stopped, match="true was not started"):
        children.run(["true"], tmp_path / "other", 60)


def test_sigterm_handling_is_left_alone_outside_the_main_thread():
    faults = []

    def enter():
        try:
            with processes.sigterm_raises():
                pass
        except ValueError as error:
            faults.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert not faults

"""Run child processes that do not outlive their time, an interrupt or a SIGTERM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

TICK = 0.5  # seconds between two looks at a running command


class Stopped(RuntimeError):
    """The command was ended, or never started, because everything was told to stop."""


class Children:
    """Child processes, started from any thread, that can be ended all at once."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def run(
        self,
        command: list[str],
        log: Path,
        seconds: float,
        environment: Mapping[str, str] | None = None,
        watch: Callable[[], None] | None = None,
    ) -> int | None:
        """Return a command's exit code, or None if it took too long and was killed.

        Args:
            command: the program and its arguments.
            log: file that receives everything the command prints.
            seconds: limit of wall time.
            environment: variables to set beside those of this process.
            watch: called every TICK seconds while the command runs.

        Raises:
            Stopped: `stop` was called before the command ended well.
        """
        with log.open("wb") as sink:
            with self._lock:
                if self._stopped:
                    raise Stopped(f"{command[0]} was not started")
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    env=os.environ | (environment or {}),
                    process_group=0,
                )
                self._running.add(process)
            try:
                code = _wait(process, seconds, watch or (lambda: None))
            finally:
                _kill(process)
                process.wait()
                with self._lock:
                    self._running.discard(process)
        if code != 0 and self._stopped:
            raise Stopped(f"{command[0]} was ended")
        return code

    def stop(self) -> None:
        """Kill everything that runs; nothing starts afterwards."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)


def plain(text: str) -> str:
    """Return what a program printed, without the codes that color a terminal."""
    return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise SystemExit in the main thread, so that children are ended too.

    A SIGHUP that is ignored, as under nohup, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(
    process: subprocess.Popen[bytes], seconds: float, watch: Callable[[], None]
) -> int | None:
    """Return a process's exit code, or None if it runs longer than this."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(min(TICK, left))
        watch()
    return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, if it runs, and all that it started.

    Its group is not enough: a kernel lives in one of its own.
    """
    if process.poll() is not None:
        return
    family = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)

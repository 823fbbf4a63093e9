"""Run a child process that ends at its time limit, and with its parent's interrupt or SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil

TICK = 0.5  # seconds between two looks at `stop`


def run(
    command: list[str],
    log: Path,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    hear: Callable[[Any], None] | None = None,
    stop: threading.Event | None = None,
) -> int | None:
    """Run a command and return its exit code; None if the time limit or `stop` ended it.

    Args:
        command: the program and its arguments.
        log: file that receives everything the command prints.
        seconds: limit of wall time.
        environment: variables to set in addition to those of this process.
        hear: called with each object that the command sends through a pipe; the pipe's file
            descriptor is added to the arguments.
        stop: event that any thread can set to end the command, or to keep it from starting.
    """
    stop = stop or threading.Event()
    if stop.is_set():
        return None
    deadline = time.monotonic() + seconds
    reader, writer = Pipe(duplex=False)
    with reader, log.open("wb") as sink:
        with writer:  # the command's copy stays open until it ends
            process = subprocess.Popen(
                [*command, str(writer.fileno())] if hear else command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=os.environ | (environment or {}),
                process_group=0,
                pass_fds=[writer.fileno()] if hear else [],
            )
        try:
            while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
                if reader.poll(min(TICK, left)):
                    try:
                        message = reader.recv()
                    except (EOFError, OSError):  # OSError: it was killed while it sent
                        return process.wait(max(0, deadline - time.monotonic()))
                    hear(message)
        except subprocess.TimeoutExpired:
            pass
        finally:
            kill(process)
    return None


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, if it still runs, and all its descendants.

    Killing its process group is not enough, because a kernel has a group of its own.
    """
    if process.poll() is None:
        family = []
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(process.pid).children(recursive=True)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise SystemExit in the main thread, so that children end too.

    A signal that already has a handler or is ignored, such as SIGHUP under nohup, is left alone.
    """

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = []
    if threading.current_thread() is threading.main_thread():
        usual = signal.SIGTERM, signal.SIGHUP
        numbers = [number for number in usual if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)

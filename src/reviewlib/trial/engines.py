"""Mapping a function over tasks: in this process, in processes of this machine, or on a cluster.

Joblib runs the processes, Ray runs the cluster. A task is a tuple of arguments, of any kind.
"""

from __future__ import annotations

import functools
import itertools
import logging
import multiprocessing
import os
import re
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import joblib

from reviewlib import sources

ENGINES = ("local", "processes", "ray")
# How often a task is restarted after its worker or machine has died.
RETRIES = 3
PATIENCE = 5.0  # seconds that a cluster's machine has to answer


class WorkerError(RuntimeError):
    """A worker died or cannot be used; the task itself did not raise."""


def map_tasks(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    *,
    engine: str = "local",
    jobs: int = 1,
    gpus: float = 0,
) -> Iterator[tuple[int, Any]]:
    """Yield (index, function(*tasks[index])) as they finish, in any order.

    A task that raises is not restarted: its exception ends the iteration, with a note that names
    the task. Running tasks are then cancelled, and also when the iterator is closed.

    With "ray" the tasks run on the cluster that RAY_ADDRESS names ("auto" is the one on this
    machine). Without this variable, a local cluster of `jobs` CPUs runs until the iteration ends. A
    session that the caller has opened with `ray.init` is used and left open.

    Args:
        function: a pure function; it and its arguments are pickled, except by "local".
        tasks: the arguments of every call.
        engine: "local" runs the tasks in this process, in order; "processes" and "ray" give each
            task one thread.
        jobs: largest number of tasks at once.
        gpus: GPUs per task on a Ray cluster; the other engines ignore this.

    Raises:
        ValueError: the engine is unknown, `jobs` is below 1, or the Ray cluster lacks the CPU or
            the GPUs of a task.
        ImportError: Ray is not installed.
        ConnectionError: no Ray cluster answers at RAY_ADDRESS.
        WorkerError: a worker died repeatedly, cannot import the function, or has another version of
            this package; or this machine cannot run several processes.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    if engine == "local":
        return (_call(*call) for call in _calls(function, tasks))
    if engine == "processes":
        return _processes(function, tasks, jobs)
    if engine == "ray":
        return _on_ray(_import_ray(), function, tasks, jobs, gpus)
    raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")


def _calls(function: Callable[..., Any], tasks: Sequence[tuple]) -> list[tuple]:
    return [(index, function, *task) for index, task in enumerate(tasks)]


def _call(index: int, function: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    try:
        return index, function(*arguments)
    except Exception as error:
        error.add_note(f"raised by task {index}")
        raise


def _processes(
    function: Callable[..., Any], tasks: Sequence[tuple], jobs: int
) -> Iterator[tuple[int, Any]]:
    try:
        multiprocessing.get_context("spawn").Semaphore()
    except (ImportError, OSError) as error:
        raise WorkerError(
            f"several processes need semaphores, and this machine gives none ({error}): make "
            "/dev/shm writable, or use one job"
        ) from error
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        # In a larger batch, a task that raises would lose the results of the tasks before it.
        parallel = joblib.Parallel(jobs, return_as="generator_unordered", batch_size=1)
    results = parallel(joblib.delayed(_call)(*call) for call in _calls(function, tasks))
    try:
        # `yield from` would close `results` too, but with a warning about the cancelled tasks
        for result in results:  # noqa: UP028
            yield result
    except BrokenExecutor as error:
        raise WorkerError(
            "a worker process was killed, often for lack of memory; start again, with fewer jobs "
            "if it happens again: finished tasks are kept"
        ) from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.close()


def _import_ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise ImportError("engine 'ray' needs Ray: pip install reviewlib[ray]") from error
    return ray


def _on_ray(
    ray: ModuleType, function: Callable[..., Any], tasks: Sequence[tuple], jobs: int, gpus: float
) -> Iterator[tuple[int, Any]]:
    with _session(ray, jobs):
        _check_resources(ray, gpus)
        # max_calls=0: by default, Ray starts a new process for each GPU task, which would import
        # torch and read the data again.
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES, max_calls=0)(
            _call_there
        )
        calls = _stored_once(ray, [(_source(), *call) for call in _calls(function, tasks)])
        waiting = enumerate(calls)
        running = {}

        def start(count: int) -> None:
            for index, call in itertools.islice(waiting, count):
                running[remote.remote(*call)] = index

        try:
            start(jobs)
            while running:
                (done,), _ = ray.wait(list(running), num_returns=1)
                result = _result(ray, done, running.pop(done))
                start(1)
                yield result
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


@contextmanager
def _session(ray: ModuleType, jobs: int) -> Iterator[None]:
    """Connect to the cluster at RAY_ADDRESS or start one; disconnect or stop it at the end."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    _require_answer(address)
    size = {} if address else {"num_cpus": jobs, "include_dashboard": False}
    try:
        ray.init(
            address or "local",
            log_to_driver=os.environ.get("RAY_LOG_TO_DRIVER") == "1",
            logging_level=logging.ERROR,
            **size,
        )
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise ConnectionError(_unreachable(address)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str | None) -> None:
    """Raise ConnectionError if nothing listens at HOST:PORT; Ray itself would wait for minutes."""
    found = re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address or "")
    if found is None:  # no address, or one like "auto", which Ray looks up
        return
    try:
        socket.create_connection((found[1], int(found[2])), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(_unreachable(address)) from error


def _unreachable(address: str | None) -> str:
    return (
        f"cannot connect to a Ray cluster at RAY_ADDRESS={address}: start one with `ray start "
        "--head`, and give this process the RAY_AUTH_MODE and the token of the cluster"
    )


def _check_resources(ray: ModuleType, gpus: float) -> None:
    """Raise ValueError if a task would wait forever for a CPU or a GPU."""
    there = ray.cluster_resources()
    for name, asked in (("CPU", 1), ("GPU", gpus)):
        if there.get(name, 0) < asked:
            raise ValueError(
                f"a task takes {asked:g} {name}, the Ray cluster has {there.get(name, 0):g}: "
                f"add a machine that has one, or ask for another device"
            )


def _stored_once(ray: ModuleType, calls: Sequence[tuple]) -> list[tuple]:
    """Return the calls, with arguments that all of them share put into Ray's store once."""
    shared = {
        position: ray.put(column[0])
        for position, column in enumerate(zip(*calls, strict=False))
        if all(argument is column[0] for argument in column)
    }
    return [
        tuple(shared.get(position, argument) for position, argument in enumerate(call))
        for call in calls
    ]


# The hash of the package's code; a worker computes it once, without importing torch.
_source = functools.cache(sources.source_hash)


def _call_there(source: str, *call: Any) -> tuple[int, Any]:
    """Call on a worker; raise WorkerError if its code is not the driver's."""
    if _source() != source:
        raise WorkerError(
            f"a worker has reviewlib {_source()}, the driver has {source}: "
            "install the same version on every machine"
        )
    return _call(*call)


def _result(ray: ModuleType, reference: Any, index: int) -> tuple[int, Any]:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", error)
        if not isinstance(cause, ray.exceptions.RayError):
            raise cause from error
        reason = str(cause).strip().split("\n")[0]
        raise WorkerError(f"task {index} failed on Ray: {reason}") from error

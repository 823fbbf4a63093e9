"""Every engine returns the same, survives a killed worker, and leaves nothing behind."""

import importlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
import ray
import tasks
import toy
from orphans import gone, wait_for

from reviewlib.trial import engines, experiment

pytestmark = [
    pytest.mark.slow,  # starts a Ray cluster, and workers that import torch
    # All tests share one cluster; pytest-xdist runs a group in one worker.
    pytest.mark.xdist_group("ray"),
]
TASKS = [(number, 10) for number in range(7)]
ELSEWHERE = engines.ENGINES[1:]
SCRIPT = """
import sys, time, psutil
from reviewlib.trial import engines

def nap(number):
    time.sleep(60 * number)

try:
    for index, _ in engines.map_tasks(nap, [(0,), (1,), (1,)], engine=sys.argv[1], jobs=2):
        print(index, flush=True)
except KeyboardInterrupt:
    left = psutil.Process().children(recursive=True)
    print([child.pid for child in left if "resource_tracker" not in str(child.cmdline())])
"""


@pytest.fixture(scope="module")
def cluster():
    """Open a session with two workers and one GPU; Ray counts GPUs without using them."""
    # Ray's workers do not search pytest's folders for modules.
    for module in (tasks, toy):
        ray.cloudpickle.register_pickle_by_value(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)
        ray.init("local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
    for module in (tasks, toy):
        ray.cloudpickle.unregister_pickle_by_value(module)


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_every_engine_gives_the_same_results(engine, cluster):
    found = dict(engines.map_tasks(tasks.scaled, TASKS, engine=engine, jobs=2))
    assert found == {index: tasks.scaled(*task) for index, task in enumerate(TASKS)}
    assert list(engines.map_tasks(tasks.scaled, [], engine=engine, jobs=2)) == []
    assert ray.is_initialized()


def test_the_task_of_a_killed_worker_is_restarted(cluster, tmp_path):
    asked = [(number, tmp_path / "marker") for number in range(7)]
    found = dict(engines.map_tasks(tasks.dying_once, asked, engine="ray", jobs=2))
    assert (tmp_path / "marker").exists()
    assert found == dict(engines.map_tasks(tasks.dying_once, asked))


def test_a_study_whose_worker_is_killed_has_the_runs_of_a_local_one(cluster, tmp_path, monkeypatch):
    driver, marker = os.getpid(), tmp_path / "killed"

    def train(run):
        if run.seed == 100_001 and os.getpid() != driver and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield from toy.trained(run)

    study = toy.study(arms=tuple(replace(arm, train=train) for arm in toy.ARMS))
    made = {}
    for engine in ("ray", "local"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / engine))
        made[engine] = experiment.run(study, toy.TINY, with_floor=False, engine=engine, jobs=2)
    assert marker.exists()
    there, here = made["ray"], made["local"]
    times = ("seconds", "computed")
    rows = [
        [{key: row[key] for key in row if key not in times} for row in out.runs]
        for out in (there, here)
    ]
    assert rows[0] == rows[1] and not any(row["from_cache"] for row in rows[0])
    assert there.fingerprints == here.fingerprints


def test_a_task_that_always_kills_its_worker_is_given_up(cluster, monkeypatch):
    monkeypatch.setattr(engines, "RETRIES", 0)
    with pytest.raises(RuntimeError, match="^task 0 failed on Ray: .*died"):
        list(engines.map_tasks(tasks.dying, [(0,)], engine="ray"))


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_an_exception_arrives_unchanged_after_the_results_before_it(engine, cluster):
    seen = {}
    with pytest.raises(tasks.Refused) as caught:
        for index, result in engines.map_tasks(
            tasks.refusing, [(number,) for number in range(9)], engine=engine
        ):
            seen[index] = result
    assert type(caught.value) is tasks.Refused and caught.value.number == 2
    assert caught.value.__notes__ == ["raised by task 2"]
    assert seen == {0: 0, 1: 1}


@pytest.mark.parametrize("engine", ELSEWHERE)
def test_closing_early_cancels_the_running_tasks(engine, cluster, tmp_path):
    asked = [(number, tmp_path) for number in (1, 0, 2)]
    results = engines.map_tasks(tasks.napping, asked, engine=engine, jobs=2)
    assert next(results) == (1, 0)
    assert wait_for(lambda: (tmp_path / "1.pid").exists())
    results.close()
    assert wait_for(lambda: gone(int((tmp_path / "1.pid").read_text())))
    if engine == "processes":
        left = [" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)]
        assert not any("popen_loky" in command for command in left)


@pytest.mark.parametrize("engine", ELSEWHERE)
def test_an_interrupt_leaves_no_process(engine):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, engine],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout.readline() == "0\n"
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2
        # as a terminal does it
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "[]\n"
    assert wait_for(lambda: all(gone(member.pid) for member in family))


@pytest.mark.parametrize("engine", ELSEWHERE)
def test_a_task_has_one_thread(engine, cluster, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    ((_, threads),) = engines.map_tasks(
        tasks.environment, [("OMP_NUM_THREADS",)], engine=engine, jobs=2
    )
    assert threads == "1"


def test_a_task_sees_the_gpu_that_it_was_given(cluster):
    ((_, seen),) = engines.map_tasks(
        tasks.environment, [("CUDA_VISIBLE_DEVICES",)], engine="ray", gpus=0.5
    )
    assert seen == "0"


def test_a_missing_gpu_is_an_error_and_not_a_wait(cluster):
    with pytest.raises(ValueError, match="a task takes 2 GPU, the Ray cluster has 1: add"):
        next(engines.map_tasks(tasks.scaled, TASKS, engine="ray", gpus=2))


def test_a_worker_with_other_code_is_rejected(cluster, monkeypatch):
    monkeypatch.setattr(engines, "_source", lambda: "other")
    with pytest.raises(RuntimeError, match="the driver has other: install the same version"):
        next(engines.map_tasks(tasks.scaled, TASKS, engine="ray"))


def test_a_function_that_workers_cannot_import_is_named(cluster, monkeypatch, tmp_path):
    (tmp_path / "only_here.py").write_text("def function(number): return number\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = importlib.import_module("only_here").function
    with pytest.raises(RuntimeError, match="^task 0 failed .*No module named 'only_here'$"):
        next(engines.map_tasks(function, [(0,)], engine="ray"))


def test_an_argument_that_all_tasks_share_is_pickled_once(cluster):
    shared, before = tasks.Pickled(), tasks.Pickled.count
    found = dict(engines.map_tasks(tasks.both, [(i, shared) for i in range(4)], engine="ray"))
    assert found == {i: (i, "arrived") for i in range(4)}
    assert tasks.Pickled.count == before + 1


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        ImportError, match=r"^engine 'ray' needs Ray: pip install reviewlib\[ray\]$"
    ):
        engines.map_tasks(tasks.scaled, TASKS, engine="ray")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999"])
def test_a_cluster_that_does_not_answer_is_an_error_and_not_a_wait(address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # another test's cluster may run
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=f"at RAY_ADDRESS={address}: start one"):
        next(engines.map_tasks(tasks.scaled, TASKS, engine="ray"))
    assert time.monotonic() - start < 2 * engines.PATIENCE


def test_without_semaphores_the_error_says_to_use_one_job(monkeypatch):
    def refuse(*_):
        raise OSError("Function not implemented")

    context = engines.multiprocessing.get_context("spawn")
    monkeypatch.setattr(type(context), "Semaphore", refuse)
    with pytest.raises(engines.WorkerError, match="Function not implemented.*use one job"):
        next(engines.map_tasks(tasks.scaled, TASKS, engine="processes", jobs=2))


def test_an_unknown_engine_and_zero_jobs_are_rejected():
    with pytest.raises(ValueError, match="must be one of local, processes, ray, got 'spark'"):
        engines.map_tasks(tasks.scaled, TASKS, engine="spark")
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        engines.map_tasks(tasks.scaled, TASKS, jobs=0)

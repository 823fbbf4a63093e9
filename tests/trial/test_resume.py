"""A study that was killed, run twice at once or out of disk ends with the usual results."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest
import toy
from disks import mounted
from forks import SIX, STACKS, STUDY, fill, in_forks, limit, warm_up

from reviewlib.trial.cache import map_runs

pytestmark = pytest.mark.slow  # the study is run dozens of times
KILLS = 20
DYING = 3  # which of the six runs


@pytest.fixture(scope="module")
def forks():
    """Return `in_forks` of a process that has trained and has no threads."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=warm_up) as pool:
        yield lambda *starts: pool.submit(in_forks, *starts).result()


@pytest.fixture(scope="module")
def calm(forks, tmp_path_factory):
    """Return the home folders of uninterrupted studies, by what they watch."""
    homes = {watch: tmp_path_factory.mktemp(watch) for watch in ("study", "writes")}
    assert forks(*((home, {"watch": watch}) for watch, home in homes.items())) == [0, 0]
    return homes


def new_homes(tmp_path, count):
    homes = [tmp_path / str(number) for number in range(count)]
    for home in homes:
        home.mkdir()
    return homes


def performed(home):
    log = home / "performed"
    return log.read_text().split() if log.exists() else []


def outcome(home):
    """Return the results of a study, without times."""
    record = json.loads((home / "toy" / "quick.json").read_text())
    for group in record["runs"]:
        assert min(group.pop("seconds")) > 0
    return {name: record[name] for name in ("runs", "test", "fingerprints")}


def halves(home):
    """Return the cache entries and records that are incomplete."""
    return [path for path in home.rglob("*.json") if not path.read_text().rstrip().endswith("}")]


def litter(home):
    return list(home.rglob("*.part"))


def test_a_study_killed_at_any_moment_repeats_only_the_stack_in_flight(forks, calm, tmp_path):
    draw = random.Random(20)
    homes, plans = new_homes(tmp_path, KILLS), []
    for watch in ("study", "writes"):
        last = int((calm[watch] / "ticks").read_text())
        # A little before the end, as no two studies make quite the same number of calls.
        plans += [{"watch": watch, "moment": draw.randrange(int(0.99 * last))} for _ in range(10)]
    killed = forks(*zip(homes, plans, strict=True))
    assert killed == [-signal.SIGKILL] * KILLS
    before = [performed(home) for home in homes]
    assert not any(halves(home) for home in homes)
    assert forks(*((home, {}) for home in homes)) == [0] * KILLS
    for home, first in zip(homes, before, strict=True):
        again = performed(home)[len(first) :]
        assert len(set(first[:-1] + again)) == len(first[:-1] + again)
        assert set(first + again) == set(performed(calm["study"]))
        assert outcome(home) == outcome(calm["study"])
    # The kills must be spread over the study, or this test shows little.
    assert len({len(first) for first in before}) > KILLS / 4
    assert any(litter(home) for home in homes)


def test_two_processes_on_one_study_do_not_disturb_each_other(forks, calm, tmp_path):
    assert forks((tmp_path, {}), (tmp_path, {})) == [0, 0]
    # A stack that ran twice shows that they overlapped; by how much is up to a busy machine.
    assert len(performed(tmp_path)) > STACKS
    assert outcome(tmp_path) == outcome(calm["study"])
    assert forks((tmp_path, {})) == [0]
    assert not litter(tmp_path)


def test_partial_files_of_killed_writers_are_removed_a_day_later(own_cache):
    map_runs(STUDY, SIX[:1])
    (entry,) = own_cache.rglob("*.json")
    fresh, old = entry.with_suffix(".jsonnew.part"), entry.with_suffix(".jsonold.part")
    for part in (fresh, old):
        part.write_text("half a r")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    os.utime(entry, (yesterday, yesterday))
    (row,) = map_runs(STUDY, SIX[:1])
    assert row["from_cache"]
    assert fresh.exists() and not old.exists()  # a process may still be writing the fresh one


@pytest.fixture(params=[limit, fill])
def starved(request, tmp_path):
    """Return a home folder, and the function that takes away its disk space."""
    cache = tmp_path / "cache"
    cache.mkdir()
    if request.param is limit:
        yield tmp_path, limit
        return
    if not mounted(cache, "size=4m"):
        # the same test with a limit on file sizes runs everywhere
        pytest.skip("mounting a small disk needs more privileges")
    yield tmp_path, fill
    subprocess.run(["umount", cache], check=True)


def test_a_full_disk_is_reported_before_anything_is_trained(forks, starved):
    home, starve = starved
    assert forks((home, {"starve": starve, "after": 0})) == [1]
    error = (home / "error").read_text()
    assert "must be writable and have room" in error and "XDG_CACHE_HOME" in error
    assert str(home / "cache" / "reviewlib" / "runs" / "toy") in error and "\n" not in error
    assert performed(home) == []


def test_a_read_only_cache_is_reported_before_anything_is_trained(forks, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o500)
    root = os.access(cache, os.W_OK)
    if root and not mounted(cache, "ro"):
        # root may write in spite of the folder's mode; anybody else gets here without a mount
        pytest.skip("mounting a read-only disk takes more rights than these")
    try:
        assert forks((tmp_path, {})) == [1]
        error = (tmp_path / "error").read_text()
        assert "must be writable and have room" in error and "\n" not in error
        assert performed(tmp_path) == []
    finally:
        if root:
            subprocess.run(["umount", cache], check=True)


def test_a_disk_that_fills_up_in_the_middle_costs_only_the_stack_in_flight(forks, calm, starved):
    home, starve = starved
    assert forks((home, {"starve": starve, "after": 7})) == [1]
    error = (home / "error").read_text()
    assert str(home / "cache" / "reviewlib" / "runs" / "toy") in error and "\n" not in error
    assert "free some space" in error and "start again" in error
    assert not litter(home) and not halves(home)
    (home / "cache" / "filler").unlink(missing_ok=True)
    assert forks((home, {})) == [0]
    assert len(performed(home)) == STACKS + 1
    assert outcome(home) == outcome(calm["study"])


def test_a_killed_worker_costs_only_what_was_in_flight(own_cache, monkeypatch):
    driver, kept = os.getpid(), []

    def dying(run):
        if run.seed == SIX[DYING].seed and os.getpid() != driver:
            time.sleep(0.5)  # for the results of the others to arrive
            os.kill(os.getpid(), signal.SIGKILL)
        yield from toy.trained(run)

    arms = tuple(replace(arm, train=dying) for arm in toy.ARMS)
    six = [replace(run, arm=arms[0]) for run in SIX]
    with pytest.raises(RuntimeError, match="worker process"):
        map_runs(toy.study(arms=arms), six, engine="processes", jobs=2, progress=kept.append)
    seeds = {row["seed"] for row in kept}
    assert len(seeds) >= DYING - 1 and SIX[DYING].seed not in seeds
    rows = map_runs(STUDY, SIX)
    assert {row["seed"] for row in rows if row["from_cache"]} == seeds
    monkeypatch.setenv("XDG_CACHE_HOME", str(own_cache / "other"))
    assert [row["scores"] for row in rows] == [row["scores"] for row in map_runs(STUDY, SIX)]

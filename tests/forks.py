"""The toy study in forks of a warmed-up process: killed, crowded and starved.

A start in a fork takes no import of torch. Worker processes can import this module.
"""

import gc
import math
import multiprocessing
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import replace

import toy

from reviewlib import storage
from reviewlib.evidence import provenance
from reviewlib.evidence.make import make
from reviewlib.evidence.store import Store
from reviewlib.trial import cache, fingerprints
from reviewlib.trial.runs import Run

SMALL = replace(toy.TINY, name="quick")  # no evidence, so without scikit-learn's floor
STUDY = toy.study(presets=(SMALL,))
STACKS = 12  # a task for each seed of two arms in two conditions
OF_SIX = replace(SMALL, seeds=6)
SIX = [Run(toy.SGD, toy.NOISE, seed, OF_SIX, ({"lr": 0.05},)) for seed in STUDY.seeds(OF_SIX)]
NO_LIMIT = (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1])


def limit(home):
    """Let this process write no more than some bytes into any file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, NO_LIMIT[1]))


def fill(home):
    """Fill the disk that the cache is on."""
    with suppress(OSError), (home / "cache" / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(1024)):
            pass


def start(home, barrier, *, watch=None, moment=math.inf, starve=None, after=math.inf):
    """Run the study; its cache, record and the list of the stacks performed lie under home.

    Args:
        home: a folder.
        barrier: where those that start at the same time wait for each other.
        watch: "study" or "writes": whose Python events are counted.
        moment: at which event the process kills itself.
        starve: takes the disk away, given home.
        after: how many stacks were performed when that happens.
    """
    os.environ["XDG_CACHE_HOME"] = str(home / "cache")
    perform, write = cache.perform, storage.write
    ticks = performed = 0

    def tick(*_):
        nonlocal ticks
        ticks += 1
        if ticks == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(*arguments):
        sys.setprofile(tick)
        write(*arguments)
        sys.setprofile(None)

    def logged(study, together, device):
        nonlocal performed
        with (home / "performed").open("a") as log:
            log.write(together[0].key(study, "", {}) + "\n")
        rows = perform(study, together, device)
        performed += 1
        if performed == after:
            starve(home)
        return rows

    cache.perform = logged
    if watch == "writes":
        storage.write = watched
    if after == 0:
        starve(home)
    barrier.wait()
    try:
        sys.setprofile(tick if watch == "study" else None)
        Store(home).save(make(STUDY, SMALL))
        sys.setprofile(None)
        (home / "ticks").write_text(str(ticks))
    except OSError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, NO_LIMIT)
        (home / "error").write_text(str(error))
        sys.exit(1)


def in_forks(*starts):
    """Call `start` with each of the arguments, all at once, and return the exit codes."""
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(len(starts))
    children = [
        fork.Process(target=start, args=(home, barrier), kwargs=arguments)
        for home, arguments in starts
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return [child.exitcode for child in children]


def warm_up():
    """Do once what every start would do again, and what is none of these tests' business."""
    cache.perform(STUDY, SIX[:1])
    prints = {arm.name: fingerprints.fingerprint(STUDY, arm) for arm in STUDY.arms}
    fingerprints.fingerprint = lambda study, arm: prints[arm.name]
    provenance.commit = lambda: "unknown"
    gc.collect()
    gc.freeze()  # a collection in a fork would copy all that it looks at

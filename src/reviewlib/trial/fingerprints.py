"""Fingerprints: the results of tiny runs of an arm, which show a change of its arithmetic."""

from __future__ import annotations

import contextlib
import json
import math
import platform
from dataclasses import replace

import torch

from reviewlib import data, papers, sources, storage
from reviewlib.storage import digest
from reviewlib.trial.arms import Arm
from reviewlib.trial.runs import Fingerprint, Run, one_thread, stacks, trained
from reviewlib.trial.study import Preset, Study

# The sizes of the tiny runs, whose losses and scores make a fingerprint.
TINY = Preset("fingerprint", "fashion-mnist-subset", 14, 400, 200, 50, 20, 1, 1, 1)
# Another processor sums in another order; a changed default or data order has a far larger effect.
# Scores may count single images, and a rounding error can flip one or two.
TOLERANCES = {"losses": 1e-3, "scores": 1e-2}


def test_digest(study: Study, preset: Preset) -> str:
    """Return the digest of what defines the test, which is stamped on every new final run.

    It covers the primary claims and the controls, their arms, ranges and conditions, the sizes and
    the folds; also the number of hyperparameters, since all share one sequence of points. It does
    not cover texts, nor exploratory claims and their arms.
    """
    arms = tested(study)
    searched = {name for arm in arms for name in arm.search}
    places = {name for *_, name in _terms(study)}
    return digest(
        {
            "claims": (*study.primary, *study.controls),
            "arms": arms,
            "conditions": [where for where in study.conditions if where.name in places],
            "ranges": [each if each.name in searched else "" for each in study.hyperparameters],
            "sizes": replace(preset, conditions=(), arms=()),
            "results_version": study.results_version,
            "folds": data.FOLD_SEED,
        }
    )


def tested(study: Study) -> list[Arm]:
    """Return the arms that the primary claims and the controls compare."""
    names = {name for _, name, _ in _terms(study)}
    return [arm for arm in study.arms if arm.name in names]


def fingerprint(study: Study, arm: Arm) -> Fingerprint:
    """Return the arm's fingerprint, replayed or from the user's cache.

    The cache keeps the fingerprints of this package's papers until torch or a file that the study
    depends on changes. Any other study, such as a changed copy, is always replayed.
    """
    if study.name not in papers.found() or papers.find(study.name) is not study:
        return replay(study, arm)
    code = sources.digest_of([f"{papers.__name__}.{study.name}.study", __name__])
    state = [code, torch.__version__, platform.platform(), study.name, arm.name]
    path = storage.cache_folder("fingerprints") / f"{digest(state)}.json"
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf8"))
    replayed = replay(study, arm)
    with contextlib.suppress(OSError):  # without the cache it is only slower
        storage.write(path, json.dumps(replayed))
    return replayed


def replay(study: Study, arm: Arm) -> Fingerprint:
    """Return the losses of the last training and the scores of tiny runs, for each condition.

    The scores begin with the accuracies on the way, so other steps of evaluation show.

    Each condition has two runs on two seeds: with every hyperparameter at the middle of its range,
    and at a quarter. They are tuning runs, so a stack with different settings is covered. Final
    runs share their settings and so use torch's own optimizer; tests compare the two paths. All
    runs are on the CPU, with images from the shipped subset.
    """
    searched = [each for each in study.hyperparameters if each.name in arm.search]
    tiny = [
        Run(
            arm,
            condition,
            tuple((each.name, each.at(u)) for each in searched),
            seed,
            TINY,
            "tuning",
        )
        for condition in study.conditions
        if arm in study.arms_in(condition)
        for seed, u in enumerate((0.5, 0.25))
    ]
    prints: Fingerprint = {run.condition.name: {"losses": [], "scores": []} for run in tiny}
    development = data.load(TINY.data).development
    with one_thread():
        for stack in stacks(tiny):
            together = [tiny[index] for index in stack]
            for run, ends, sample in trained(study, together, development):
                own = prints[run.condition.name]
                for end in ends:
                    own["losses"] += end.losses[: TINY.steps].tolist()
                    own["scores"] += [accuracy for _, accuracy in end.curve]
                    own["scores"] += study.evaluate(end.model, sample.validation).values()
                    if study.inspect is not None:
                        own["scores"] += study.inspect(end.model, sample).values()
    return {
        condition: {part: [float(f"{value:.6g}") for value in own[part]] for part in own}
        for condition, own in prints.items()
    }


def differences(stored: Fingerprint, fresh: Fingerprint) -> list[str]:
    """Return what differs beyond rounding: conditions, losses, scores; empty if nothing does."""
    if stored.keys() != fresh.keys():
        return ["conditions"]
    return [
        what
        for what, tolerance in TOLERANCES.items()
        if not all(_close(stored[where][what], fresh[where][what], tolerance) for where in stored)
    ]


def _terms(study: Study) -> list[tuple[float, str, str]]:
    """Return weight, arm and condition of every term of the primary claims and the controls."""
    claims = (*study.primary, *study.controls)
    return [term for claim in claims for term in (*claim.contrast, *claim.control)]


def _close(stored: list[float], fresh: list[float], tolerance: float) -> bool:
    return len(stored) == len(fresh) and all(
        math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
        for a, b in zip(stored, fresh, strict=True)
    )

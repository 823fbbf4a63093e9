"""Fingerprints: the results of tiny runs of an arm, which show a change of its arithmetic."""

from __future__ import annotations

import contextlib
import json
import math
import platform
from dataclasses import replace
from itertools import chain

import torch

from reviewlib import data, papers, sources, storage
from reviewlib.data.precision import default_type
from reviewlib.storage import digest
from reviewlib.trial.arms import Arm, Fingerprint
from reviewlib.trial.runs import Run, fold_of, one_thread, tasks, trained
from reviewlib.trial.study import Preset, Study

# The sizes of the tiny runs, whose losses and scores make a fingerprint. The subset's test images
# lie in the validation pool of the full data set.
TINY = Preset("fingerprint", "fashion-mnist-subset", 14, 400, 200, 50, 20, 2, 1, 10)
# Another processor sums in another order, which is far below these; a changed default is far above.
# Scores may count single images, and rounding can flip one that hardly ever lies on the line.
TOLERANCES = {"losses": 1e-4, "scores": 1e-3}


def test_digest(study: Study, preset: Preset) -> str:
    """Return the digest of what defines the test, which is stamped on every new final run.

    It covers the primary claims and the controls, their arms, ranges and conditions, the sizes, the
    pools and the folds. It does not cover texts, nor exploratory claims and their arms.
    """
    arms = arms_tested(study)
    searched = {name for arm in arms for name in arm.search}
    places = {name for *_, name in _terms(study)}
    timed = [where for where in study.timings if where.name in places]
    return digest(
        {
            "claims": (*study.primary, *study.controls),
            "arms": arms,
            "conditions": [where for where in study.conditions if where.name in places],
            "ranges": [each for each in study.hyperparameters if each.name in searched],
            "sizes": replace(preset, conditions=(), arms=()),
            "results_version": study.results_version,
            "images": [data.POOLS, data.FOLD_SEED],
        }
        | ({"timings": timed} if timed else {})  # not there before there were timings
    )


def arms_tested(study: Study) -> list[Arm]:
    """Return the arms that the primary claims and the controls compare, and their parents."""
    compared = [study.arm(name) for _, name, _ in _terms(study)]
    names = {name for arm in compared for name in (arm.name, *arm.parents)}
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

    The scores begin with the accuracies on the way, so other steps of evaluation show, and end with
    the loss on the run's test fold, so other folds show.

    Each condition has one run with two trials: every hyperparameter at the middle of its range, and
    at a quarter. So a stack with different settings is covered. All runs are on the CPU, with
    images from the shipped subset, in double precision: a net with BatchNorm amplifies rounding, by
    which processors differ, a millionfold within these few steps.
    """
    searched = [each for each in study.hyperparameters if each.name in study.searched(arm)]
    trials = tuple({each.name: each.at(u) for each in searched} for u in (0.5, 0.25))
    seed = study.seeds(TINY)[0]
    tiny = [
        Run(arm, condition, seed, TINY, trials)
        for condition in study.conditions
        if arm in study.arms_in(condition)
    ]
    prints: Fingerprint = {run.condition.name: {"losses": [], "scores": []} for run in tiny}
    dataset = data.load(TINY.data)
    with one_thread(), default_type(torch.float64):
        for task in tasks(tiny):
            together = [tiny[index] for index in task]
            for run, ends, sample in trained(study, together, dataset.development):
                own, fold = prints[run.condition.name], fold_of(study, seed, TINY, dataset)
                for end in chain(*ends):
                    own["losses"] += end.losses[: TINY.steps].tolist()
                    own["scores"] += [accuracy for _, accuracy in end.curve]
                    own["scores"] += study.evaluate(end.model, sample.validation).values()
                    if study.inspect is not None:
                        own["scores"] += study.inspect(end.model, sample).values()
                    own["scores"].append(study.evaluate(end.model, fold)["nll"])
                    if study.scores is not None:
                        own["scores"] += study.scores(end.model, fold, sample).values()
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

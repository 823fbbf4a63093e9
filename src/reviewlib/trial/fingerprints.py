"""Fingerprints: what tiny runs of an arm give, which tells whether its arithmetic has changed."""

from __future__ import annotations

import contextlib
import json
import platform
from dataclasses import replace

import torch

from reviewlib import data, papers, sources, storage
from reviewlib.storage import digest
from reviewlib.trial.arms import Arm
from reviewlib.trial.runs import Fingerprint, Run, one_thread, stacks, trained
from reviewlib.trial.study import Preset, Study

# A fingerprint is the losses of this many steps, and the scores after them.
TINY = Preset("fingerprint", "fashion-mnist-subset", 14, 400, 200, 50, 20, 1, 1, 1)


def test_digest(study: Study, preset: Preset) -> str:
    """Return the digest of what defines the test: it is stamped on every final run as it is made.

    That is the primary claims and the controls, their arms, ranges and conditions, the sizes and
    the folds. Words define nothing; exploratory claims and their arms are not covered.
    """
    claims = (*study.primary, *study.controls)
    terms = [term for claim in claims for term in (*claim.contrast, *claim.control)]
    arms = [arm for arm in study.arms if arm.name in {name for _, name, _ in terms}]
    searched = {name for arm in arms for name in arm.search}
    places = {name for *_, name in terms}
    return digest(
        {
            "claims": claims,
            "arms": arms,
            "conditions": [where for where in study.conditions if where.name in places],
            "ranges": [each for each in study.hyperparameters if each.name in searched],
            "sizes": replace(preset, conditions=(), arms=()),
            "results_version": study.results_version,
            "folds": data.FOLD_SEED,
        }
    )


def fingerprint(study: Study, arm: Arm) -> Fingerprint:
    """Return the arm's fingerprint: replayed, or as this code gave it on this machine before.

    The user's cache keeps that of a paper of this package until a file that its study rests on, or
    torch, changes. Any other study, such as one with changed fields, is replayed.
    """
    if study.name not in papers.found() or papers.find(study.name) is not study:
        return replay(study, arm)
    code = sources.digest_of([f"{papers.__name__}.{study.name}.study", __name__])
    state = [code, torch.__version__, platform.platform(), study.name, arm.name]
    path = storage.cache_folder("fingerprints") / f"{digest(state)}.json"
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf8"))
    replayed = replay(study, arm)
    with contextlib.suppress(OSError):  # it is only slower without
        storage.write(path, json.dumps(replayed))
    return replayed


def replay(study: Study, arm: Arm) -> Fingerprint:
    """Return, for every condition of the arm, its last losses and scores in tiny runs on the CPU.

    Two runs, on two seeds, trained as the study tunes them, so that a stack is covered: with every
    hyperparameter at the middle of its range, and at a quarter. Final runs share their settings and
    so take torch's own optimizer; tests hold that path to this one. Images are from the shipped
    subset.
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
                    own["scores"] += study.evaluate(end.model, sample.validation).values()
                    if study.inspect is not None:
                        own["scores"] += study.inspect(end.model, sample).values()
    return {
        condition: {part: [float(f"{value:.6g}") for value in own[part]] for part in own}
        for condition, own in prints.items()
    }

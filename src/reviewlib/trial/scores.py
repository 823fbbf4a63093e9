"""The scores of a finished run, as one row of a record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reviewlib import data
from reviewlib.train import Fit
from reviewlib.trial.inputs import Sample
from reviewlib.trial.study import Study

if TYPE_CHECKING:
    from reviewlib.trial.runs import Run

Row = dict[str, Any]


def row_of(study: Study, run: Run, ends: Sequence[Fit], sample: Sample, split: data.Split) -> Row:
    """Return the run's row; scores and passes are means over its replicates, seconds the sum."""
    diverged = [end.diverged_at for end in ends if end.diverged_at is not None]
    peaks = [end.peak_bytes for end in ends if end.peak_bytes is not None]
    return {
        "arm": run.arm.name,
        "condition": run.condition.name,
        "seed": run.seed,
        "settings": run.all_settings(),
        **means([_scores(study, end, sample, split) for end in ends]),
        "diverged_at": min(diverged, default=None),
        "passes": round(sum(end.passes for end in ends) / len(ends)),
        "seconds": round(sum(end.seconds for end in ends), 3),
        "peak_bytes": max(peaks, default=None),
        "curve": [
            [points[0][0], round(sum(value for _, value in points) / len(points), 4)]
            for points in zip(*(end.curve for end in ends), strict=False)
        ],
    }


def _scores(study: Study, end: Fit, sample: Sample, split: data.Split) -> Mapping[str, float]:
    if end.diverged_at is None:
        scores = study.evaluate(end.model, split)
        if end.best is not None:
            early = study.evaluate(end.best, split)
            scores |= {f"early_{metric}": value for metric, value in early.items()}
        scores["train_accuracy"] = study.evaluate(end.model, sample.train)["accuracy"]
        return scores
    chance = {"accuracy": 1 / sample.classes, "nll": math.log(sample.classes)}
    early = {f"early_{metric}": value for metric, value in chance.items()}
    return chance | early | {"train_accuracy": chance["accuracy"]}


def means(scores: Sequence[Mapping[str, float]]) -> Row:
    """Return the means over replicates of the metrics that all of them have."""
    return {
        metric: round(sum(score[metric] for score in scores) / len(scores), 6)
        for metric in scores[0]
        if all(metric in score for score in scores)
    }

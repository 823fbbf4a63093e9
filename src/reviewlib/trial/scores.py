"""The row of a finished run: the scores of all its trials, and more of the best of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from reviewlib import data
from reviewlib.train import Fit
from reviewlib.trial.inputs import Sample
from reviewlib.trial.search import ranking, weights
from reviewlib.trial.shades import digits
from reviewlib.trial.study import Study

if TYPE_CHECKING:
    from reviewlib.trial.runs import Run

Row = dict[str, Any]


def row_of(
    study: Study, run: Run, trials: Sequence[Sequence[Fit]], sample: Sample, fold: data.Split
) -> Row:
    """Return the row of a run; every number is a mean over replicates.

    Args:
        study: the study of the run.
        run: the run.
        trials: the last fits of each trial.
        sample: the images that the run trained and was tuned on.
        fold: the test images of the seed.

    Returns:
        arm, condition, seed, fixed (settings), settings (of the trials, by name), scores (of the
        trials, by metric; those on the validation images are called validation_*), diverged_at (of
        the trials), best (scores that are taken of the best trial only), curve (of the best trial),
        passes (of a trial), seconds (of all), peak_bytes, correct (see `correctness`).
    """
    scored = [_scored(study, ends, sample, fold) for ends in trials]
    trials, scores = [ends for ends, _ in scored], [score for _, score in scored]
    diverged = [_diverged_at(ends) for ends in trials]
    table = {name: [_short(score[name]) for score in scores] for name in _shared(scores)}
    order = ranking(table["validation_accuracy"], table["validation_nll"])
    best = trials[order[0]]
    peaks = [end.peak_bytes for ends in trials for end in ends if end.peak_bytes is not None]
    passes = [sum(end.passes for end in ends) / len(ends) for ends in trials]
    return {
        "arm": run.arm.name,
        "condition": run.condition.name,
        "seed": run.seed,
        "fixed": run.fixed,
        "settings": {name: [each[name] for each in run.trials] for name in run.trials[0]},
        "scores": table,
        "diverged_at": diverged,
        "best": _of_best(study, best, sample),
        "curve": [
            [points[0][0], round(sum(value for _, value in points) / len(points), 4)]
            for points in zip(*(end.curve for end in best), strict=False)
        ],
        "passes": round(sum(passes) / len(passes)),
        "seconds": round(sum(end.seconds for ends in trials for end in ends), 3),
        "peak_bytes": max(peaks, default=None),
        "correct": correctness(
            [trials[place] for place in order], run.preset.tries, fold, sample.classes
        ),
    }


def correctness(ranked: Sequence[Sequence[Fit]], tries: int, fold: data.Split, classes: int) -> str:
    """Return how often each image of a fold is classified correctly, as one hex digit an image.

    It is the expected correctness of the best of k tries (see `shades`).

    Args:
        ranked: the last fits of each trial, the best first.
        tries: k.
        fold: the images.
        classes: their number, which gives the chance of a diverged model.
    """
    shares = weights(len(ranked), tries)
    mean = sum(
        share * sum(_right(end, fold, classes) for end in ends) / len(ends)
        for share, ends in zip(shares, ranked, strict=True)
        if share > 0
    )
    return digits(mean.tolist())


@torch.no_grad()
def _right(end: Fit, fold: data.Split, classes: int) -> torch.Tensor:
    """Return which images a model classifies correctly; a diverged one is right at chance."""
    if end.diverged_at is not None:
        return torch.full((len(fold),), 1 / classes)
    end.model.eval()
    return (end.model(fold.pixels()).argmax(-1) == fold.labels).float().cpu()


def _scored(
    study: Study, ends: Sequence[Fit], sample: Sample, fold: data.Split
) -> tuple[Sequence[Fit], Row]:
    """Return a trial's last fits and its scores; one that has no finite loss has diverged.

    Weights may be finite after the last update and so large that the model's losses are not. Only
    the validation images rank the trial, so a loss on the fold changes nothing there.
    """
    scores = _scores(study, ends, sample, fold)
    if math.isfinite(scores["validation_nll"]) and math.isfinite(scores["nll"]):
        return ends, scores
    lost = [replace(end, diverged_at=end.config.steps - 1 if end.config else 0) for end in ends]
    chance = _scores(study, lost, sample, fold)
    if math.isfinite(scores["validation_nll"]):
        chance |= {name: scores[name] for name in scores if name.startswith("validation_")}
    return lost, chance


class Undecided(nn.Module):
    """A model that gives all classes the same probability; a diverged model scores like it."""

    def __init__(self, classes: int) -> None:
        """Keep the number of classes."""
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of 0, (B, classes), for images (B, C, H, W)."""
        return x.new_zeros(len(x), self.classes)


def _scores(study: Study, ends: Sequence[Fit], sample: Sample, fold: data.Split) -> Row:
    """Return a trial's scores on the validation images and on the fold."""
    if _diverged_at(ends) is not None:
        chance = {"accuracy": 1 / sample.classes, "nll": math.log(sample.classes)}
        validation = {f"validation_{metric}": value for metric, value in chance.items()}
        own = _on_fold(study, Undecided(sample.classes), fold, sample)
        return validation | own | chance | {"early_accuracy": chance["accuracy"]}
    validation = means([study.evaluate(end.model, sample.validation) for end in ends])
    scores = {f"validation_{metric}": validation[metric] for metric in ("accuracy", "nll")}
    scores |= means([_on_fold(study, end.model, fold, sample) for end in ends])
    if all(end.best is not None for end in ends):
        early = means([study.evaluate(end.best, fold) for end in ends])
        scores["early_accuracy"] = early["accuracy"]
    return scores


def _on_fold(study: Study, model: nn.Module, fold: data.Split, sample: Sample) -> Row:
    further = study.scores(model, fold, sample) if study.scores else {}
    return study.evaluate(model, fold) | further


def _of_best(study: Study, ends: Sequence[Fit], sample: Sample) -> Row:
    """Return the accuracy on the training images and the study's own inspections."""
    if _diverged_at(ends) is not None:
        return {"train_accuracy": 1 / sample.classes}
    found = [
        {"train_accuracy": study.evaluate(end.model, sample.train)["accuracy"]}
        | (study.inspect(end.model, sample) if study.inspect else {})
        for end in ends
    ]
    return means(found)


def _diverged_at(ends: Sequence[Fit]) -> int | None:
    return min((end.diverged_at for end in ends if end.diverged_at is not None), default=None)


def _shared(scores: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the metrics that all trials have, in order."""
    return [name for name in scores[0] if all(name in score for score in scores)]


def _short(value: float) -> float:
    return round(value, 5)


def means(scores: Sequence[Mapping[str, float]]) -> Row:
    """Return the means over replicates of the metrics that all of them have."""
    return {
        metric: round(sum(score[metric] for score in scores) / len(scores), 6)
        for metric in scores[0]
        if all(metric in score for score in scores)
    }

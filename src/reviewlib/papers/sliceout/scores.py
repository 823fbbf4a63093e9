"""Further scores of a model: its calibration, and what single passes of training are worth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reviewlib.data import Split
from reviewlib.papers.sliceout.method import SliceOut
from reviewlib.train.calibration import calibration_errors
from reviewlib.trial.declare import Sample

PASSES = 8


@torch.no_grad()
def scores(model: nn.Module, fold: Split, sample: Sample) -> dict[str, float]:
    """Return a model's calibration error, and the accuracy of parts of it.

    A pass in training mode goes through one slice, under dropout through one mask an image. Of a
    model without either, it is the whole model.

    Returns:
        rms_calibration_error, of the whole model; single_accuracy, the mean over 8 passes in
        training mode; ensemble_accuracy and ensemble_nll, of the mean of their probabilities.
    """
    del sample
    x, labels = fold.pixels(), fold.labels
    model.eval()
    whole = model(x)
    passes = [whole]
    if any(isinstance(module, SliceOut | nn.Dropout) for module in model.modules()):
        model.train()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            passes = [model(x) for _ in range(PASSES)]
        model.eval()
    single = [_accuracy(logits, labels) for logits in passes]
    together = torch.stack(passes).double().softmax(-1).mean(0)
    chances = together.gather(-1, labels[:, None]).clamp_min(1e-12)
    return {
        "rms_calibration_error": calibration_errors(whole, labels)["rms_calibration_error"],
        "single_accuracy": sum(single) / len(single),
        "ensemble_accuracy": _accuracy(together, labels),
        "ensemble_nll": float(-chances.log().mean()),
    }


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(-1) == labels).double().mean())

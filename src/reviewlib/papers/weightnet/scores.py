"""Further scores of a model: how much its gates depend on the image, and what that is worth."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from reviewlib.data import Split
from reviewlib.papers.weightnet.method import WeightNetConv2d
from reviewlib.trial.declare import Sample, evaluate


@torch.no_grad()
def scores(model: nn.Module, fold: Split, sample: Sample) -> dict[str, float]:
    """Return what a model's gates know of the image; without generated kernels it has none.

    Returns:
        gate_sd, the standard deviation of a gate over test images, the mean over gates; and
        mean_gates_accuracy, the accuracy with every gate at its mean over validation images.
    """
    model.eval()
    layers = [module for module in model.modules() if isinstance(module, WeightNetConv2d)]
    if not layers:
        return {"gate_sd": 0.0, "mean_gates_accuracy": evaluate(model, fold)["accuracy"]}
    spread = [alpha.std(0).flatten() for alpha in _activations(model, layers, fold)]
    means = [alpha.mean(0) for alpha in _activations(model, layers, sample.validation)]
    for layer, mean in zip(layers, means, strict=True):
        layer.alpha = partial(_held, mean)  # hides the method
    accuracy = evaluate(model, fold)["accuracy"]
    for layer in layers:
        del layer.alpha
    return {"gate_sd": float(torch.cat(spread).mean()), "mean_gates_accuracy": accuracy}


def _activations(model: nn.Module, layers: list[WeightNetConv2d], images: Split) -> list[Tensor]:
    """Return the activations of each layer, (B, groups, inputs of a group)."""
    seen: dict[WeightNetConv2d, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda layer, x: seen.update({layer: layer.alpha(*x)}))
        for layer in layers
    ]
    model(images.pixels())
    for hook in hooks:
        hook.remove()
    return [seen[layer] for layer in layers]


def _held(mean: Tensor, x: Tensor) -> Tensor:
    return mean.expand(len(x), *mean.shape)

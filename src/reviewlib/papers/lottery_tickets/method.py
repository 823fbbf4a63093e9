"""Lottery tickets: train a net, prune its smallest weights, reset the rest to initial values.

Paper: Frankle and Carbin, ICLR 2019, arXiv 1803.03635, Section 1 (iterative pruning, resetting).

Reference code: https://github.com/google-research/lottery-ticket-hypothesis/tree/43ef68dea72c8b49f5a6631e2e27783b945d57b7/foundations

Differences:
1. The number of weights kept is exact; the `<=` in the official pruning.py prunes one more.
2. You choose the final density, and all rounds prune at one rate; the paper chooses the rate.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Tensors = dict[str, Tensor]  # by the name of the layer
Density = float | Mapping[str, float]  # fraction of weights that is kept, or one per layer
KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
KINDS += (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# Layers that keep weights under other names than `weight`.
UNKNOWN = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)


def magnitude_masks(weights: Tensors, masks: Tensors, density: Density) -> Tensors:
    """Return the masks that keep the largest survivors of each layer.

    Args:
        weights: trained weights, by layer.
        masks: in the shapes of the weights; 1 where a weight survives, 0 where it is pruned.
        density: fraction to keep of all weights of a layer, pruned ones included; in (0, 1].

    Raises:
        ValueError: a layer would keep no weight or more than survive; a weight is not finite.
    """
    kept = {}
    for name, share in per_layer(density, weights).items():
        count, alive = round(share * weights[name].numel()), int(masks[name].count_nonzero())
        if not 1 <= count <= alive:
            raise ValueError(
                f"density must keep 1 to {alive} survivors of '{name}', got {share} (keeps {count})"
            )
        if not weights[name].isfinite().all():
            raise ValueError(f"weights must be finite, got nan or inf in '{name}': did it diverge?")
        size = weights[name].abs().masked_fill(masks[name] == 0, -1)  # below any survivor, even 0
        largest = size.flatten().topk(count).indices
        kept[name] = torch.zeros_like(size).flatten().index_fill_(0, largest, 1).view_as(size)
    return kept


def rounds(
    model: nn.Module,
    density: Density,
    count: int,
    *,
    rewind: bool = True,
    criterion: Callable[[Tensors, Tensors, Density], Tensors] = magnitude_masks,
) -> Iterator[nn.Module]:
    """Yield the model `count` times, for training in place; afterwards it is the ticket.

    Args:
        model: pruned in place; the weights it has now are its initial values.
        density: fraction of the weights to keep in the end, in (0, 1].
        count: rounds of training and pruning, at least 1; 1 is one-shot pruning.
        rewind: whether survivors return to their initial values; else they keep their trained ones.
        criterion: returns the next masks, given the trained weights, the masks and the density.

    Raises:
        ValueError: the density or the count is out of range; raised before the first training.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}; 1 is one-shot pruning")
    final = per_layer(density, layers(model))
    criterion(weights(model), masks(model), final)  # raises now, not after the last training
    prune(model, masks(model))  # masks of ones, so that parameter names do not change later
    start = copy.deepcopy(model.state_dict())  # theta_0, biases and BatchNorm statistics too
    for number in range(1, count + 1):
        yield model  # the caller trains it to theta_T
        target = {name: share ** (number / count) for name, share in final.items()}
        kept = criterion(weights(model), masks(model), target)  # m
        if rewind:
            model.load_state_dict(start)
        prune(model, kept)  # m * theta_0


def find_ticket(
    model: nn.Module, train: Callable[[nn.Module], object], density: Density, count: int, **options
) -> nn.Module:
    """Return the model as a ticket; `train` trains it in place (see `rounds` for the rest)."""
    for candidate in rounds(model, density, count, **options):
        train(candidate)
    return model


class Mask(nn.Module):
    """A parametrization: the layer computes with m * w, so no optimizer revives a pruned w."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """Return m * w."""
        return weight * self.mask


def prune(model: nn.Module, masks: Tensors) -> None:
    """Set the masks of the named layers, instead of the masks they have."""
    for name, mask in masks.items():
        layer = model.get_submodule(name)
        if _mask(layer) is None:
            parametrize.register_parametrization(layer, "weight", Mask(layer.weight))
        _mask(layer).load_state_dict({"mask": mask})  # raises for another shape


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers to prune: dense and convolutional ones. Biases are never pruned.

    Raises:
        ValueError: the model has recurrent or attention layers, which would stay dense.
    """
    modules = dict(model.named_modules())
    if dense := [name for name, layer in modules.items() if isinstance(layer, UNKNOWN)]:
        raise ValueError(f"weights must be those of dense or convolutional layers, got {dense}")
    return {name: layer for name, layer in modules.items() if isinstance(layer, KINDS)}


def weights(model: nn.Module) -> Tensors:
    """Return the weights that the layers compute with; pruned ones are zero."""
    return {name: layer.weight.detach() for name, layer in layers(model).items()}


def masks(model: nn.Module) -> Tensors:
    """Return copies of the masks of the layers; ones for a layer that has none."""
    found = {name: _mask(layer) or Mask(layer.weight) for name, layer in layers(model).items()}
    return {name: own.mask.clone() for name, own in found.items()}


def density(model: nn.Module) -> float:
    """Return the fraction of the weights of all layers that is kept."""
    kept = torch.cat([mask.flatten() for mask in masks(model).values()])
    return kept.count_nonzero().item() / kept.numel()


def per_layer(density: Density, names: Collection[str]) -> dict[str, float]:
    """Return the density of each layer; raise ValueError if one is missing or not in (0, 1]."""
    shares = dict(density) if isinstance(density, Mapping) else dict.fromkeys(names, density)
    if not shares or shares.keys() != set(names):
        raise ValueError(f"density must be given for layers {[*names]}, got {[*shares]}")
    if wrong := {name: share for name, share in shares.items() if not 0 < share <= 1}:
        raise ValueError(f"density must be a share in (0, 1], such as 0.2, got {wrong}")
    return shares


def _mask(layer: nn.Module) -> Mask | None:
    return next((part for part in layer.modules() if isinstance(part, Mask)), None)

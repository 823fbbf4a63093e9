"""Lottery tickets: prune a trained net, and train what is left again from where it started.

Paper: Frankle and Carbin, ICLR 2019, arXiv 1803.03635, Section 1 (iterative pruning, resetting).
Rewinding to a step k > 0: Frankle, Dziugaite, Roy, Carbin, arXiv 1903.01611.

Reference code:
https://github.com/google-research/lottery-ticket-hypothesis/blob/43ef68dea72c8b49f5a6631e2e27783b945d57b7/foundations/pruning.py
https://github.com/facebookresearch/open_lth/blob/fd379593c64ef7eef540b7440ed7c103876bc621/pruning/sparse_global.py

Differences:
1. A mask multiplies its weight in every forward pass, so no optimizer, momentum or weight decay can
   bring a pruned weight back. The official code masks the initial weights and the gradients.
2. Exactly as many weights are kept as asked for; the official code's `<=` prunes one more.
3. What is asked for is the share that is left at the end, a number or one a layer; every round
   prunes a layer's survivors at the constant rate that leads there.
4. With `together`, all layers are ranked as one, as open_lth does and the paper does for deep nets.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Tensors = dict[str, Tensor]  # by the name of the layer
Share = float | Mapping[str, float]
Train = Callable[[nn.Module, int, int | None], None]


class Mask(nn.Module):
    """A parametrization: the weight that a layer computes with is m * w, with m of zeros and ones.

    The weight itself is left as it is; the gradient it gets is masked too.
    """

    def __init__(self, mask: Tensor) -> None:
        """Take the mask, in the weight's shape."""
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Return m * w."""
        return weight * self.mask


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return what is pruned: the dense and convolutional layers, of which biases are kept."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, kinds)}


def weights(model: nn.Module) -> Tensors:
    """Return the weights that the layers compute with, pruned ones as zeros."""
    return {name: layer.weight.detach() for name, layer in layers(model).items()}


def masks(model: nn.Module) -> Tensors:
    """Return copies of the layers' masks; ones for a layer without."""
    own = {name: _mask(layer) for name, layer in layers(model).items()}
    return {
        name: torch.ones_like(weight) if own[name] is None else own[name].mask.clone()
        for name, weight in weights(model).items()
    }


def prune(model: nn.Module, kept: Mapping[str, Tensor]) -> None:
    """Give the named layers these masks, in place of those they have."""
    for name, mask in kept.items():
        layer = model.get_submodule(name)
        if (old := _mask(layer)) is not None:
            old.mask = mask
        else:
            parametrize.register_parametrization(layer, "weight", Mask(mask))


def share_left(model: nn.Module) -> float:
    """Return the share of the layers' weights that is not pruned."""
    kept = masks(model).values()
    return sum(mask.sum().item() for mask in kept) / sum(mask.numel() for mask in kept)


def magnitude_masks(
    weights: Tensors, masks: Tensors, left: Share, *, together: bool = False
) -> Tensors:
    """Return masks of the survivors that are largest in magnitude.

    Args:
        weights: of the trained net, by layer.
        masks: the survivors, ones of the weights' shapes; a pruned weight is never kept.
        left: share of all weights, pruned ones included, that is kept, in (0, 1]: of every layer,
            or a number a layer.
        together: rank all layers as one; `left` is then one number.

    Raises:
        ValueError: more is to be kept than there are survivors.
    """
    ranks = {name: w.abs().masked_fill(masks[name] == 0, -1.0) for name, w in weights.items()}
    if together:
        kept = _largest(torch.cat([rank.flatten() for rank in ranks.values()]), left)
        parts = kept.split([rank.numel() for rank in ranks.values()])
        return {n: part.view_as(ranks[n]) for n, part in zip(ranks, parts, strict=True)}
    shares = left if isinstance(left, Mapping) else dict.fromkeys(ranks, left)
    return {name: _largest(rank, shares[name]) for name, rank in ranks.items()}


def rounds(
    model: nn.Module, left: Share, count: int, *, rewind: bool = True, together: bool = False
) -> Iterator[nn.Module]:
    """Yield the model `count` times, each time to be trained; afterwards it is the ticket.

    Before its first training it is taken as it came. After each one, the smallest survivors are
    pruned and everything else is put back to that start.

    Args:
        model: pruned in place.
        left: share of the weights that is left in the end (see `magnitude_masks`).
        count: rounds of training and pruning; 1 is one-shot pruning.
        rewind: False keeps the trained weights.
        together: rank all layers as one.
    """
    prune(model, masks(model))  # from here on the names of all parameters stay
    start = copy.deepcopy(model.state_dict())
    for number in range(1, count + 1):
        yield model
        aim = _power(left, number / count)
        kept = magnitude_masks(weights(model), masks(model), aim, together=together)
        if rewind:
            model.load_state_dict(start)
        prune(model, kept)


def find_ticket(
    model: nn.Module, train: Train, left: Share, count: int, *, step: int = 0, **options: bool
) -> nn.Module:
    """Return the model as a ticket: pruned, its survivors as they were after `step` steps.

    Args:
        model: newly initialized; pruned in place.
        train: train(model, start, stop) trains in place from step `start` of its schedule to before
            step `stop`, None for its end; with a new optimizer every time.
        left: share of the weights that is left in the end (see `magnitude_masks`).
        count: rounds of training and pruning.
        step: k, the step that survivors are rewound to; 0 is the paper's own ticket.
        options: of `rounds`.
    """
    if step:
        train(model, 0, step)
    for candidate in rounds(model, left, count, **options):
        train(candidate, step, None)
    return model


def one_shot(model: nn.Module, train: Train, left: Share, **options: Any) -> nn.Module:
    """Return the ticket that is found by pruning once (see `find_ticket`)."""
    return find_ticket(model, train, left, 1, **options)


def _mask(layer: nn.Module) -> Mask | None:
    chain = layer.parametrizations.weight if parametrize.is_parametrized(layer, "weight") else ()
    return next((part for part in chain if isinstance(part, Mask)), None)


def _power(left: Share, exponent: float) -> Share:
    if isinstance(left, Mapping):
        return {name: share**exponent for name, share in left.items()}
    return left**exponent


def _largest(ranks: Tensor, left: float) -> Tensor:
    """Return ones where the largest `left` of all ranks are; a rank below 0 must not be kept."""
    count = round(left * ranks.numel())
    values, places = ranks.flatten().topk(count)
    if count and values[-1] < 0:
        raise ValueError(
            f"left must not be more than the survivors, got {left} of {ranks.numel()} weights, of "
            f"which {(ranks >= 0).sum().item()} survive"
        )
    return torch.zeros_like(ranks).flatten().index_fill_(0, places, 1).view_as(ranks)

"""Rarer forms of tickets and their controls: what a ticket is made of, taken away piece by piece.

Papers: Zhou et al., NeurIPS 2019, arXiv 1905.01067 (signs); You et al., ICLR 2020, arXiv 1909.11957
(early-bird tickets: there whole channels are pruned, and ranked by BatchNorm's scale; here single
weights, by magnitude).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from reviewlib.papers.lottery_tickets import method
from reviewlib.papers.lottery_tickets.method import Share, Tensors


def random_masks(model: nn.Module, left: Share, generator: torch.Generator) -> Tensors:
    """Return random masks that keep, layer by layer, as many weights as magnitude masks do."""
    noise = {
        name: torch.rand(weight.shape, generator=generator).to(weight)
        for name, weight in method.weights(model).items()
    }
    return method.magnitude_masks(noise, method.masks(model), left)


def shuffled(masks: Mapping[str, Tensor], generator: torch.Generator) -> Tensors:
    """Return masks (out, in) in which every input keeps its number of connections, not which."""
    return {
        name: mask.gather(0, torch.rand(mask.shape, generator=generator).argsort(0).to(mask.device))
        for name, mask in masks.items()
    }


def masked_like(ticket: nn.Module, fresh: nn.Module) -> nn.Module:
    """Return a newly initialized net, pruned in place with the ticket's masks."""
    method.prune(fresh, method.masks(ticket))
    return fresh


@torch.no_grad()
def signed_like(ticket: nn.Module, fresh: nn.Module) -> nn.Module:
    """Return a newly initialized net with the ticket's masks and the signs of its weights."""
    for layer, own in zip(
        method.layers(fresh).values(), method.weights(ticket).values(), strict=True
    ):
        layer.weight.copy_(layer.weight.abs().copysign(own))
    return masked_like(ticket, fresh)


def early_bird(
    model: nn.Module, left: Share, most: int, *, tolerance: float = 0.1
) -> Iterator[nn.Module]:
    """Yield the model to be trained a little each time, until the mask that it would get rests.

    Afterwards it is the ticket: pruned, and put back to its start.

    Args:
        model: pruned in place.
        left: share of the weights that is left (see `method.magnitude_masks`).
        most: times that it is trained a little, at most.
        tolerance: share of the kept weights that may be others than after the time before.
    """
    method.prune(model, method.masks(model))
    start, kept = copy.deepcopy(model.state_dict()), None
    for _ in range(most):
        yield model
        before = kept
        kept = method.magnitude_masks(method.weights(model), method.masks(model), left)
        if before is not None and _changed(before, kept) <= tolerance:
            break
    model.load_state_dict(start)
    method.prune(model, kept)


def _changed(before: Tensors, after: Tensors) -> float:
    stayed = sum((before[name] * mask).sum().item() for name, mask in after.items())
    return 1 - stayed / sum(mask.sum().item() for mask in after.values())

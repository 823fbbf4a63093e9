"""A rarer criterion of the search for tickets, and controls that remove a part of a ticket.

Paper:
Zhou, Lan, Liu, Yosinski, NeurIPS 2019, arXiv 1905.01067 (signs).

Reference code, for layers ranked together:
https://github.com/facebookresearch/open_lth/blob/fd379593c64ef7eef540b7440ed7c103876bc621/pruning/sparse_global.py

Three forms need no code here: one-shot pruning is `method.rounds` with a count of 1, fine-tuning
and learning-rate rewinding are `method.rounds` with rewind=False, and rewinding to a step k > 0
(Frankle, Dziugaite, Roy, Carbin, arXiv 1903.01611) is `method.rounds` of a net trained for k steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reviewlib.papers.lottery_tickets import method
from reviewlib.papers.lottery_tickets.method import Density, Tensors


def global_masks(weights: Tensors, masks: Tensors, density: Density) -> Tensors:
    """Return masks of the largest survivors of all layers, ranked together; a `criterion`.

    Raises:
        ValueError: see `method.magnitude_masks`.
    """
    shares = method.per_layer(density, weights)
    sizes = {name: weight.numel() for name, weight in weights.items()}
    total = sum(shares[name] * size for name, size in sizes.items()) / sum(sizes.values())
    kept = method.magnitude_masks({"all": _joined(weights)}, {"all": _joined(masks)}, total)["all"]
    parts = kept.split([*sizes.values()])
    return {name: part.view_as(weights[name]) for name, part in zip(sizes, parts, strict=True)}


def random_masks(model: nn.Module, density: Density, generator: torch.Generator) -> Tensors:
    """Return random masks that keep as many weights of each layer as magnitude masks do."""
    noise = {
        name: torch.rand(weight.shape, generator=generator).to(weight)
        for name, weight in method.weights(model).items()
    }
    return method.magnitude_masks(noise, method.masks(model), density)


def masked_like(ticket: nn.Module, fresh: nn.Module) -> nn.Module:
    """Return the newly initialized net, pruned in place with the masks of the ticket."""
    method.prune(fresh, method.masks(ticket))
    return fresh


@torch.no_grad()
def signed_like(ticket: nn.Module, fresh: nn.Module) -> nn.Module:
    """Return the newly initialized net, with the ticket's masks and the signs of its weights."""
    for layer, own in zip(
        method.layers(fresh).values(), method.weights(ticket).values(), strict=True
    ):
        layer.weight.copy_(layer.weight.abs().copysign(own))
    return masked_like(ticket, fresh)


def _joined(tensors: Tensors) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])

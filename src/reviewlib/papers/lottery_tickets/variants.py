"""Rarer forms of tickets and their controls: what a ticket is made of, taken away piece by piece.

Paper: Zhou et al., NeurIPS 2019, arXiv 1905.01067 (signs).
"""

from __future__ import annotations

from collections.abc import Mapping

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

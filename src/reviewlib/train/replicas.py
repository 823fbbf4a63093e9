"""Replicas: many nets of one shape, trained as one batched model.

Everything that differs between replicas has a leading axis: parameters (R, out, in), labels (R, B),
hyperparameters (R,). Replicas that see the same images in the same order share a batch, so images
have an axis of S <= R batches: (S, B, C, H, W). An elementwise optimizer then trains each replica
exactly as it would train the model alone; the tests compare the two.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from reviewlib.train import grouped
from reviewlib.train.layers import Dense, Dropout
from reviewlib.train.models import Normalize, Standardize

ACTIVATIONS = (nn.Identity, nn.ReLU, nn.Tanh, nn.GELU, nn.Sigmoid)
# Modules that work unchanged on a batch with one more leading axis.
BROADCASTING = (nn.Sequential, Normalize, Standardize, *ACTIVATIONS)
# Where torch keeps a layer's parametrizations.
CONTAINERS = (nn.ModuleDict, parametrize.ParametrizationList)


class Alone:
    """One model that trains by itself, with the interface of a `Stack`."""

    models_a_batch, may_draw = 1, True

    def __init__(self, model: nn.Module) -> None:
        """Keep the model, without a copy."""
        self.model = model

    def arranged(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (1, B, C, H, W) and y (1, B) without their first axis."""
        return x.squeeze(0), y.squeeze(0)

    def unstacked(self) -> tuple[nn.Module, ...]:
        """Return the model."""
        return (self.model,)


class Stack(nn.Module):
    """R models as one model: x (S, B, C, H, W) -> logits (R, B, classes).

    Parametrizations of a linear layer (masks, say) are stacked with their buffers and must act
    elementwise.

    Attributes:
        models_a_batch: R / S, the number of models, one after another, that see the same batch.
        may_draw: whether random numbers may be drawn: once, for all models, so only if S is 1.

    Raises:
        ValueError: the models are not `stackable`.
    """

    def __init__(self, models: Sequence[nn.Module], models_a_batch: int = 1) -> None:
        """Copy the models' parameters; the models stay as they are until `unstacked`."""
        super().__init__()
        self.models_a_batch, self.may_draw = models_a_batch, models_a_batch == len(models)
        if not stackable(models):
            raise ValueError(
                "a stack takes nets of one shape, of plain layers; train these models one by one"
            )
        self.models = tuple(models)  # a tuple, so that their parameters are not this module's
        self.net = side_by_side(models, models_a_batch)

    @property
    def model(self) -> nn.Module:
        """The module to train: the stack itself."""
        return self

    def arranged(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (S, B, C, H, W), and y (S, B) repeated for every model, (R, B)."""
        return x, y.repeat_interleave(self.models_a_batch, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Return each replica's logits on its batch."""
        return self.net(x)

    @torch.no_grad()
    def unstacked(self) -> tuple[nn.Module, ...]:
        """Write parameters and running statistics into the original models, and return these."""
        states = [model.state_dict() for model in self.models]
        for name, together in chain(self.net.named_parameters(), grouped.statistics(self.net)):
            for state, own in zip(states, together, strict=True):
                state[name].copy_(own.view_as(state[name]))
        return self.models


def stackable(models: Sequence[nn.Module]) -> bool:
    """Return whether the models are nets of one shape, of layers that have a form side by side."""
    return len({_shape(model) for model in models}) == 1 and all(
        isinstance(module, (*CONTAINERS, nn.Linear, nn.Dropout))
        or type(module) in BROADCASTING  # a subclass may do something else with its layers
        or (isinstance(module, nn.Flatten) and module.start_dim < 0)
        or grouped.stackable(module)
        or _is_parametrization(models[0], name)
        for name, module in models[0].named_modules()
    )


def merged(values: Sequence[Any], like: Tensor) -> Any:
    """Return R values as one: a value that all share, or different numbers as a tensor (R,).

    Functions merge if they are the same, or `functools.partial`s of the same one with keywords
    that merge.

    Args:
        values: one per replica.
        like: a tensor with the type and device of the result.

    Raises:
        ValueError: the values differ and are not numbers.
    """
    first = values[0]
    if all(value is first or value == first for value in values):
        return first
    if all(isinstance(value, int | float) for value in values):
        return torch.tensor(values, dtype=like.dtype, device=like.device)
    if all(isinstance(value, partial) and not value.args for value in values):
        names = {tuple(value.keywords) for value in values}
        if len(names) == 1 and all(value.func == first.func for value in values):
            return partial(
                first.func,
                **{
                    name: merged([value.keywords[name] for value in values], like)
                    for name in first.keywords
                },
            )
    raise ValueError(f"runs of one stack may differ in numbers only, got {first} and others")


def side_by_side(modules: Sequence[nn.Module], models_a_batch: int = 1) -> nn.Module:
    """Return one module that applies each module to its own part of a leading axis.

    Models that share a batch must have `same_inputs`.
    """
    first = modules[0]
    if isinstance(first, nn.Linear):
        dense = Dense(modules)
        if parametrize.is_parametrized(first):
            for name, chain in first.parametrizations.items():
                for index in range(len(chain)):
                    alike = [module.parametrizations[name][index] for module in modules]
                    parametrize.register_parametrization(
                        dense, name, side_by_side(alike), unsafe=True
                    )
        return dense
    if isinstance(first, nn.Dropout):
        return Dropout(modules)
    if isinstance(first, grouped.KINDS):
        return grouped.side_by_side(modules)
    together = copy.deepcopy(first)
    for name, _ in first.named_children():
        children = [getattr(module, name) for module in modules]
        setattr(together, name, side_by_side(children, models_a_batch))
    for name, _ in first.named_buffers(recurse=False):
        buffers = [getattr(module, name) for module in modules[::models_a_batch]]
        setattr(together, name, torch.stack(buffers))
    return together


def same_inputs(one: nn.Module, other: nn.Module) -> bool:
    """Return whether two models pass the same images to their first layers."""
    buffers, others = (
        [
            buffer
            for module in model.modules()
            if isinstance(module, BROADCASTING)
            for buffer in module.buffers(recurse=False)
        ]
        for model in (one, other)
    )
    return len(buffers) == len(others) and all(map(torch.equal, buffers, others))


def _shape(model: nn.Module) -> tuple:
    kinds = tuple((type(m).__qualname__, _options(m)) for m in model.modules())
    state = tuple((name, tuple(value.shape)) for name, value in model.state_dict().items())
    return kinds, state


def _options(module: nn.Module) -> Any:
    """Return what modules side by side must have in common besides kind and shapes."""
    if isinstance(module, nn.Dropout):
        return module.p if module.p in (0, 1) else None  # of rate 0 or 1, it draws nothing
    return grouped.options(module)


def _is_parametrization(model: nn.Module, name: str) -> bool:
    parent = name.rpartition(".")[0]
    return isinstance(model.get_submodule(parent), parametrize.ParametrizationList)

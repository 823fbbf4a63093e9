"""Nets with one hidden layer, of different widths, trained as one batched model.

All nets of a seed see the same batches, so one wide layer, one matrix product, holds the hidden
units of all of them; the output layer of each net reads only its own units. Under an elementwise
optimizer, each net trains exactly as it would alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reviewlib.train import replicas
from reviewlib.train.layers import Dense


class Ragged(nn.Module):
    """S seeds times M widths as one model: x (S, B, C, H, W) -> logits (S * M, B, classes).

    Attributes:
        models: the original models, seed by seed; each seed has the same widths in one order.
        widths: the M widths.
    """

    may_draw = False

    def __init__(self, models: Sequence[nn.Module]) -> None:
        """Copy the models' parameters; the models stay as they are until `unstacked`.

        Raises:
            ValueError: the models cannot form a ragged batch (see `widths_of`).
        """
        super().__init__()
        self.widths = widths_of(models)
        if self.widths is None:
            raise ValueError(
                "a ragged batch takes nets of one hidden layer, the same widths for every seed; "
                "train these models one by one"
            )
        self.models = tuple(models)  # a tuple, so that their parameters are not this module's
        seeds = [models[i : i + len(self.widths)] for i in range(0, len(models), len(self.widths))]
        first, second = (i for i, layer in enumerate(models[0]) if isinstance(layer, nn.Linear))
        self.before = replicas.side_by_side([of_seed[0][:first] for of_seed in seeds])
        self.hidden = Dense([_joined(of_seed) for of_seed in seeds])
        self.between = models[0][first + 1 : second]
        reads = [[_layers(model)[1] for model in of_seed] for of_seed in seeds]
        weights = [torch.cat([layer.weight.detach() for layer in row], 1) for row in reads]
        biases = [torch.stack([layer.bias.detach() for layer in row], 1) for row in reads]
        self.weight = nn.Parameter(torch.stack(weights))  # (S, classes, K), K hidden units a seed
        self.bias = nn.Parameter(torch.stack(biases))  # (S, classes, M)

    @property
    def model(self) -> nn.Module:
        """The module to train: the batch itself."""
        return self

    @property
    def models_a_batch(self) -> int:
        """Number of models that see the same batch: one per width."""
        return len(self.widths)

    def arranged(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (S, B, C, H, W), and y (S, B) repeated for every width, (S * M, B)."""
        return x, y.repeat_interleave(len(self.widths), 0)

    def forward(self, x: Tensor) -> Tensor:
        """Return every model's logits on its seed's batch."""
        units = self.between(self.hidden(self.before(x))).mT  # (S, K, B), the order in memory
        parts = zip(
            units.split(self.widths, 1),
            self.weight.split(self.widths, -1),
            self.bias.split(1, -1),
            strict=True,
        )
        logits = [torch.baddbmm(bias, weight, own) for own, weight, bias in parts]
        return torch.stack(logits, 1).flatten(0, 1).mT

    def spread(self, value: float | Tensor, parameter: nn.Parameter) -> float | Tensor:
        """Return one number per model, (S * M,), expanded to multiply one of the parameters."""
        if not isinstance(value, Tensor):
            return value
        by_model = value.view(-1, len(self.widths))  # (S, M)
        if parameter is self.bias:
            return by_model.unsqueeze(1)
        widths = torch.tensor(self.widths, device=value.device)
        by_unit = by_model.repeat_interleave(widths, 1)  # (S, K)
        return by_unit.unsqueeze(1 if parameter is self.weight else -1)

    @torch.no_grad()
    def unstacked(self) -> tuple[nn.Module, ...]:
        """Write the current parameters back into the original models, and return these."""
        own = zip(
            (w for row in self.hidden.weight for w in row.split(self.widths)),
            (b for row in self.hidden.bias for b in row[:, 0].split(self.widths)),
            (w for row in self.weight for w in row.split(self.widths, 1)),
            (b for row in self.bias for b in row.mT),
            strict=True,
        )
        for model, values in zip(self.models, own, strict=True):
            first, second = _layers(model)
            targets = (first.weight, first.bias, second.weight, second.bias)
            for target, value in zip(targets, values, strict=True):
                target.copy_(value)
        return self.models


def widths_of(models: Sequence[nn.Module]) -> list[int] | None:
    """Return the widths of each seed's models, None if the models cannot form a ragged batch.

    They can if they have one hidden layer and differ only in its width, and if every seed has the
    same widths in the same order.
    """
    alike = len({tuple(type(layer) for layer in model.modules()) for model in models}) == 1
    if not alike or not all(_has_one_hidden_layer(model) for model in models):
        return None
    if (
        len({(first.in_features, second.out_features) for first, second in map(_layers, models)})
        > 1
    ):
        return None
    widths = [_layers(model)[0].out_features for model in models]
    length = widths.index(widths[0], 1) if widths.count(widths[0]) > 1 else len(widths)
    return widths[:length] if widths == widths[:length] * (len(widths) // length) else None


def groups(model: nn.Module, **given: Any) -> list[dict[str, Any]]:
    """Return an optimizer's parameter groups with the given hyperparameters.

    In a ragged batch, one number per model is expanded to the units of each model.
    """
    if isinstance(model, Ragged):
        return [
            {"params": [p]} | {name: model.spread(value, p) for name, value in given.items()}
            for p in model.parameters()
        ]
    return [{"params": list(model.parameters())} | given]


def _has_one_hidden_layer(model: nn.Module) -> bool:
    return (
        isinstance(model, nn.Sequential)
        and len(_layers(model)) == 2
        and all(
            isinstance(layer, (*replicas.BROADCASTING[1:], nn.Linear))
            or (isinstance(layer, nn.Flatten) and layer.start_dim < 0)
            for layer in model
        )
        and all(type(layer) is nn.Linear and layer.bias is not None for layer in _layers(model))
    )


def _layers(model: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in model if isinstance(layer, nn.Linear)]


def _joined(models: Sequence[nn.Sequential]) -> nn.Linear:
    """Return one layer with the hidden units of all models, one after another."""
    layers = [_layers(model)[0] for model in models]
    units = sum(layer.out_features for layer in layers)
    joined = nn.utils.skip_init(nn.Linear, layers[0].in_features, units)
    joined.weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in layers]))
    joined.bias = nn.Parameter(torch.cat([layer.bias.detach() for layer in layers]))
    return joined

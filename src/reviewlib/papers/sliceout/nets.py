"""The three nets of the chapter: each has one chain of layers whose hidden units can be sliced."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from reviewlib.data import Split
from reviewlib.trial.declare import models

Form = Callable[..., nn.Module]  # makes a module of the layers of a chain
CHANNELS, PATCH, TOKEN = 32, 4, 128  # outside the chains: channels, pixels, numbers a token


def perceptron(images: Split, classes: int, units: int, form: Form) -> nn.Sequential:
    """Return a net of two hidden layers."""
    chain = (
        nn.Linear(images.images[0].numel(), units),
        nn.ReLU(),
        nn.Linear(units, units),
        nn.ReLU(),
        nn.Linear(units, classes),
    )
    return nn.Sequential(models.Normalize(images), nn.Flatten(-3), form(*chain))


def convolutions(images: Split, classes: int, units: int, form: Form) -> nn.Sequential:
    """Return a net whose block widens 32 channels to `units` and narrows them again."""
    chain = (
        nn.Conv2d(CHANNELS, units, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(units, CHANNELS, 3, padding=1),
    )
    return nn.Sequential(
        models.Normalize(images),
        nn.Conv2d(images.images.shape[1], CHANNELS, 3, padding=1),
        form(*chain),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(-3),
        nn.Linear(CHANNELS, classes),
    )


def feed_forward(images: Split, classes: int, units: int, form: Form) -> nn.Sequential:
    """Return a transformer's feed-forward block on patches of 4 x 4 pixels, without attention."""
    chain = nn.Linear(TOKEN, units), nn.GELU(), nn.Linear(units, TOKEN)
    return nn.Sequential(
        models.Normalize(images),
        nn.Conv2d(images.images.shape[1], TOKEN, PATCH, stride=PATCH),
        Tokens(),
        form(*chain),
        Mean(),
        nn.Linear(TOKEN, classes),
    )


class Tokens(nn.Module):
    """Make a token of every pixel of a map: (B, C, H, W) -> (B, H * W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens."""
        return x.flatten(2).mT


class Mean(nn.Module):
    """Average tokens: (B, T, C) -> (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over tokens."""
        return x.mean(1)


def with_dropout(*layers: nn.Module, rate: float) -> nn.Sequential:
    """Return a chain with dropout after each activation."""
    active = nn.ReLU | nn.GELU
    return nn.Sequential(
        *(
            nn.Sequential(layer, nn.Dropout(rate)) if isinstance(layer, active) else layer
            for layer in layers
        )
    )

"""The few small networks of the book: inputs are images in [0, 1], normalization comes first."""

from __future__ import annotations

from torch import Tensor, nn

from reviewlib.data import Split


class Normalize(nn.Module):
    """Subtract the mean and divide by the standard deviation of the training pixels."""

    def __init__(self, images: Split) -> None:
        """Take both from a training split: one number each, over all of its pixels."""
        super().__init__()
        pixels = images.pixels()
        self.register_buffer("mean", pixels.mean().view(1, 1, 1, 1))
        self.register_buffer("scale", 1 / pixels.std().view(1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, C, H, W) normalized."""
        return x.sub(self.mean).mul_(self.scale)


def mlp(images: Split, classes: int, width: int = 128) -> nn.Sequential:
    """Return a net with one hidden ReLU layer for images like those of a training split."""
    return nn.Sequential(
        Normalize(images),
        nn.Flatten(-3),
        nn.Linear(images.images[0].numel(), width),
        nn.ReLU(),
        nn.Linear(width, classes),
    )

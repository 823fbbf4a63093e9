"""AugMix: chains of random image operations, mixed, and a loss that makes their views agree.

Paper: Hendrycks, Mu, Cubuk, Zoph, Gilmer, Lakshminarayanan: AugMix: A Simple Data Processing Method
to Improve Robustness and Uncertainty. ICLR 2020, arXiv 1912.02781.
Reference code: google-research/augmix (augmentations.py, augment_and_mix.py, cifar.py).

Differences from the reference:
- It works on batches, on their device; every image draws its own chains. The random numbers come
  from a generator on the CPU, so nothing waits for a GPU.
- Dirichlet and Beta have alpha = 1, the paper's value; no other is offered.
- At severity 0 an image stays as it is; the reference would still equalize it, say.
- The divergence is computed in log space, so it needs no floor on the mixture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
OPERATIONS = ("autocontrast", "equalize", "posterize", "solarize", *GEOMETRIC)
PIECE = 512  # images that are augmented at a time, which bounds the memory


class Plan(NamedTuple):
    """The random choices for N images, each of k chains of at most d operations.

    Attributes:
        operation: positions in `AugMix.operations`, (N, k, d); -1 after the end of a chain.
        u: position of each operation's level between 0.1 and the severity, in [0, 1), (N, k, d).
        sign: of each level, 1 or -1, (N, k, d).
        w: weights of the chains, each row ~ Dirichlet(1, ..., 1), (N, k).
        m: share of the mixed chains in the result, ~ Beta(1, 1), (N,).
    """

    operation: Tensor
    u: Tensor
    sign: Tensor
    w: Tensor
    m: Tensor

    def part(self, start: int, stop: int) -> Plan:
        """Return the choices for the images from `start` up to `stop`."""
        return Plan(*(each[start:stop] for each in self))


@dataclass(frozen=True, eq=False)
class AugMix:
    """The augmentation x -> (1 - m) x + m * sum_i w_i chain_i(x), drawn for each image by itself.

    It is a transform of images or of batches of them, for example in torchvision's `v2.Compose`.

    Attributes:
        severity: largest level of an operation, in [0, 10]; the paper has 3 on CIFAR, the reference
            code 1 on ImageNet. R of them, (R,), give R versions of a batch, from the same choices.
        width: number of chains, k.
        depth: largest number of operations in a chain, which draws its own from 1 to this.
        m: share of the mixed chains in the result, in [0, 1]; drawn for each image if None.
        operations: the operations to choose from.
        generator: source of all randomness, on the CPU; torch's default one if None.

    Raises:
        ValueError: an argument is out of range.
    """

    severity: float | Tensor = 3.0
    width: int = 3
    depth: int = 3
    m: float | None = None
    operations: tuple[str, ...] = OPERATIONS
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for an argument out of range."""
        if not isinstance(self.severity, Tensor) and not 0 <= self.severity <= 10:
            raise ValueError(f"severity must lie in [0, 10], got {self.severity}")
        if self.m is not None and not 0 <= self.m <= 1:
            raise ValueError(f"m must lie in [0, 1], or be None to be drawn, got {self.m}")
        if self.width < 1 or self.depth < 1:
            raise ValueError(
                f"width and depth must be at least 1, got {self.width} and {self.depth}"
            )
        if not self.operations or set(self.operations) - set(OPERATIONS):
            raise ValueError(
                f"operations must be some of {', '.join(OPERATIONS)}, got {self.operations}"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Return images augmented, each with its own choices, in the type of x.

        Args:
            x: images (..., C, H, W), uint8, or floats in [0, 1].

        Returns:
            Images like x. For R severities, (R, ..., C, H, W); an axis of length 1 that x has
            before its batch becomes the axis of R.

        Raises:
            ValueError: x is not a tensor of images.
        """
        _require_images(x)
        images = x.reshape(-1, *x.shape[-3:])
        mixed = self.apply(images, self.draw(len(images)))
        several = mixed.ndim == 5
        lead = x.shape[:-3]
        if several:
            lead = (len(mixed), *lead[len(lead) > 1 :])
        return mixed.view(*lead, *x.shape[-3:])

    def draw(self, images: int) -> Plan:
        """Return the choices for a number of images.

        Each image has its own row of random numbers, so two calls draw for the two parts of a batch
        what one call draws for all of it.
        """
        k, d = self.width, self.depth
        u = torch.rand(images, k * (2 + 3 * d) + 1, generator=self.generator, dtype=torch.float64)
        sizes = (1, 1, d, d, d)
        length, e, choice, level, sign = u[:, 1:].unflatten(1, (k, -1)).split(sizes, -1)
        operation = (choice * len(self.operations)).long()
        ended = torch.arange(d) > (length * d).long()
        e = -torch.log1p(-e.squeeze(-1))  # exponential; over their sum, Dirichlet(1, ..., 1)
        m = u[:, 0] if self.m is None else torch.full_like(u[:, 0], self.m)
        return Plan(
            operation.masked_fill(ended, -1),
            level,
            torch.where(sign < 0.5, -1.0, 1.0),
            e / e.sum(1, keepdim=True),
            m,
        )

    def apply(self, x: Tensor, plan: Plan) -> Tensor:
        """Return x (N, C, H, W) augmented by a plan, or (R, N, C, H, W) for R severities."""
        starts = range(0, max(len(x), 1), PIECE)
        pieces = [self._piece(x[i : i + PIECE], plan.part(i, i + PIECE)) for i in starts]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, -4)

    def _piece(self, x: Tensor, plan: Plan) -> Tensor:
        floating = x.is_floating_point()
        dtype = torch.promote_types(x.dtype, torch.float32) if floating else torch.float32
        clean = x.to(dtype) * 255 if floating else x.to(dtype)  # half cannot count 784 pixels
        severity = torch.as_tensor(self.severity, dtype=torch.float64, device=x.device)
        mixed = self._mixed_chains(clean.round() if floating else clean, plan, severity.view(-1, 1))
        share = plan.m.to(x.device, clean.dtype) * (severity.view(-1, 1) > 0)  # (R, N)
        result = clean + share.view(*share.shape, 1, 1, 1) * (mixed - clean)
        result = result / 255 if floating else result.round()
        return result.to(x.dtype).view(*severity.shape, *x.shape)

    def _mixed_chains(self, x: Tensor, plan: Plan, severity: Tensor) -> Tensor:
        """Return the mixed chains (R, N, C, H, W) of gray levels x (N, C, H, W), for (R, 1)."""
        n, k, d = plan.operation.shape
        chains = x.repeat_interleave(k, 0).repeat(len(severity), 1, 1, 1, 1)  # (R, N k, C, H, W)
        for step in range(d):
            operation, u, sign = (each[..., step].flatten() for each in plan[:3])
            # the choices lie on the CPU, so a GPU is never asked how many there are
            counts = (operation + 1).bincount(minlength=len(self.operations) + 1)
            rows_of = operation.argsort(stable=True).split(counts.tolist())
            for name, rows in zip(self.operations, rows_of[1:], strict=True):
                if len(rows):
                    level = 0.1 + u[rows].to(x.device) * (severity - 0.1)  # ~ U(0.1, severity)
                    level = level * sign[rows].to(x.device) if name in GEOMETRIC else level
                    rows = rows.to(x.device)
                    before = chains.index_select(1, rows).flatten(0, 1)
                    after = operate(name, before, level.flatten())
                    chains.index_copy_(1, rows, after.unflatten(0, (len(severity), -1)))
        return torch.einsum("rnkchw,nk->rnchw", chains.unflatten(1, (n, k)), plan.w.to(x))


def _require_images(x: Tensor) -> None:
    """Raise ValueError unless x is a tensor of images."""
    if not isinstance(x, Tensor) or x.ndim < 3:
        got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(
            f"AugMix takes image tensors (..., C, H, W), got {got}; put v2.ToImage() before it"
        )
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise ValueError(f"images must be uint8, or floats in [0, 1], got {x.dtype}")
    if x.is_floating_point() and x.device.type == "cpu" and x.numel():  # a GPU would have to wait
        low, high = float(x.min()), float(x.max())
        if not 0 <= low <= high <= 1:
            raise ValueError(
                f"float images must lie in [0, 1], got {low:.3g} to {high:.3g}; put AugMix before "
                "the normalization"
            )


def operate(name: str, x: Tensor, level: Tensor) -> Tensor:
    """Return images after one of the OPERATIONS, each at its own level.

    Args:
        name: the operation; autocontrast and equalize have no level.
        x: gray levels 0, 1, ..., 255 as floats, (N, C, H, W).
        level: in [0, 10], (N,); of either sign for geometric operations.
    """
    size = level.view(-1, 1, 1, 1)
    if name == "autocontrast":
        low, high = x.amin((-2, -1), True), x.amax((-2, -1), True)
        scale = 255 / (high - low)
        return torch.where(high > low, ((x - low) * scale + 1e-3).floor(), x)
    if name == "equalize":
        return _equalized(x)
    if name == "posterize":
        q = 2.0 ** (4 + (size * 4 / 10).floor()).to(x.dtype)  # of 8 bits, 4 - int(4 l / 10) stay
        return (x / q).floor() * q
    if name == "solarize":
        return torch.where(x < 256 - (size * 256 / 10).floor(), x, 255 - x)
    return _warped(x, _matrix(name, level, *x.shape[-2:]))


def _equalized(x: Tensor) -> Tensor:
    """Return images with flat histograms, by Pillow's arithmetic."""
    gray = x.flatten(0, 1).flatten(1).long()  # (N C, H W)
    counts = x.new_zeros(len(gray), 256).scatter_add_(1, gray, torch.ones_like(gray, dtype=x.dtype))
    last = counts.gather(1, gray.amax(1, True))
    step = ((gray.shape[1] - last) / 255).floor()
    table = ((counts.cumsum(1) - counts + (step / 2).floor()) / step).floor().clamp_(max=255)
    return torch.where(step > 0, table, torch.arange(256.0).to(x)).gather(1, gray).view_as(x)


def _matrix(name: str, level: Tensor, height: int, width: int) -> Tensor:
    """Return the maps from the pixels of the result to those of the image, (N, 2, 3).

    Coordinates are those of `grid_sample`: -1 and 1 are the outer edges of the image.
    """
    matrix = torch.eye(2, 3, dtype=level.dtype, device=level.device).repeat(len(level), 1, 1)
    if name == "rotate":
        angle = (level * 30 / 10).trunc() * (math.pi / 180)
        matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
        matrix[:, 0, 1] = -angle.sin() * height / width
        matrix[:, 1, 0] = angle.sin() * width / height
    elif name == "shear_x":
        matrix[:, 0, 1] = matrix[:, 0, 2] = level * 0.3 / 10 * height / width
    elif name == "shear_y":
        matrix[:, 1, 0] = matrix[:, 1, 2] = level * 0.3 / 10 * width / height
    else:
        axis, pixels = (0, width) if name == "translate_x" else (1, height)
        matrix[:, axis, 2] = (level * (pixels / 3) / 10).trunc() * 2 / pixels
    return matrix


def _warped(x: Tensor, matrix: Tensor) -> Tensor:
    """Return images (N, C, H, W) seen through affine maps, bilinear, black outside of the image."""
    (n, _, *shape), matrix = x.shape, matrix.to(x.dtype)
    rows, columns = (((torch.arange(size) * 2 + 1) / size - 1).to(x) for size in shape)
    grid, inside = x.new_empty(n, *shape, 2), True  # F.affine_grid takes ten times as long
    for axis in (0, 1):
        a, b, c = matrix[:, axis].T.unsqueeze(-1)
        at = (a * columns).unsqueeze(1) + (b * rows + c).unsqueeze(2)
        inside = inside & (at >= -1) & (at < 1)
        grid[..., axis] = at
    warped = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return (warped * inside.unsqueeze(1) + 1e-3).floor()  # Pillow rounds down


def jensen_shannon(*logits: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of k >= 2 predictions, in nats, in [0, log k].

    Args:
        logits: of the same examples, each (..., B, classes).

    Returns:
        The mean over the examples, (...).

    Raises:
        ValueError: there are fewer than two predictions.
    """
    if len(logits) < 2:
        raise ValueError(f"a divergence needs at least two predictions, got {len(logits)}")
    log_p = torch.stack([F.log_softmax(each, -1) for each in logits])
    log_mixture = log_p.logsumexp(0) - math.log(len(logits))
    return (log_p.exp() * (log_p - log_mixture)).sum(-1).mean((0, -1))


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (..., B, K) with labels y (..., B), in nats."""
    return -F.log_softmax(logits, -1).gather(-1, y.unsqueeze(-1)).mean((-2, -1))


@dataclass(frozen=True, eq=False)
class AugMixLoss:
    """The loss of the clean images plus lambda times the divergence of three views.

    Attributes:
        augment: makes the two augmented views.
        weight: lambda; the paper has 12.
        loss: maps the logits of the clean images and y to their loss; the mean cross-entropy, or
            one with label smoothing, say.
    """

    augment: Callable[[Tensor], Tensor] = AugMix()
    weight: float = 12.0
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy

    def __call__(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss, in nats; the model sees all views in one forward pass.

        Args:
            model: maps images to logits.
            x: images (B, C, H, W); or (1, B, C, H, W) for R models side by side.
            y: labels (B,), or (R, B).
        """
        clean, *others = views(model, x, self.augment)
        return self.loss(clean, y) + self.weight * jensen_shannon(clean, *others)


def views(
    model: Callable[[Tensor], Tensor], x: Tensor, augment: Callable[[Tensor], Tensor]
) -> tuple[Tensor, ...]:
    """Return a model's logits on images and on two augmented views of them, each (..., B, K)."""
    augmented = augment(torch.cat([x, x], -4))  # (..., 2 B, C, H, W)
    clean = x.expand(*augmented.shape[:-4], *x.shape[-4:])
    return model(torch.cat([clean, augmented], -4)).chunk(3, -2)

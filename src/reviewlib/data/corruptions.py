"""Image corruptions at five severities: the 15 of CIFAR-10-C, and four of MNIST-C.

Sources: hendrycks/robustness `ImageNet-C/create_c/make_cifar_c.py`, and google-research/mnist-c
`corruptions.py`. The constants are those of CIFAR-10-C, made for 32 x 32 pixels; lengths scale with
the height of the images. All is done in batches, on the CPU.

Departures, all for want of a file or of speed:
- frost: a random height map instead of crops from photographs of frost;
- glass blur: every pixel takes a random neighbor's value, where pairs would be swapped in turn;
- motion blur and snow: whole pixels along the direction of motion;
- zoom blur, snow: one bilinear look-up about the center; scipy crops and resizes;
- elastic transform: both displacements in one look-up. CIFAR-10-C's first severities move pixels
  farther than its last ones do; here, the reach of the affine part rises instead of falling;
- JPEG: the quantized cosine transform without the lossless coding that follows it;
- the last four have one severity in MNIST-C. Here, five: the width of the two stripes, the number
  of lines, the share of the rows that is inverted.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

SEVERITIES = (1, 2, 3, 4, 5)
# a corruption's arguments at each severity
Levels = Sequence[Any]


def corrupt(images: Tensor, name: str, severity: int, generator: torch.Generator) -> Tensor:
    """Return images with one of the corruptions.

    Args:
        images: uint8, (N, C, H, W) with 1 or 3 channels.
        name: one of CIFAR_C or MNIST_C.
        severity: 1 to 5.
        generator: source of all randomness, on the CPU.

    Returns:
        Images like those given, on their device.

    Raises:
        ValueError: there is no such corruption or severity, or the images have another form.
    """
    if name not in _CORRUPTIONS:
        raise ValueError(f"a corruption is one of {', '.join(_CORRUPTIONS)}, got {name!r}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be one of {SEVERITIES}, got {severity!r}")
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            "images must be uint8 of shape (N, C, H, W) with 1 or 3 channels, got "
            f"{images.dtype} of shape {tuple(images.shape)}"
        )
    if not len(images):
        return images
    change, levels = _CORRUPTIONS[name]
    with _single_precision():
        changed = change(images.cpu().float().div_(255), levels[severity - 1], generator)
    return changed.clamp_(0, 1).mul_(255).round_().to(torch.uint8).to(images.device)


@contextlib.contextmanager
def _single_precision() -> Iterator[None]:
    """Make new tensors float32, so that nobody's default changes the corruptions."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def benchmark(images: Tensor, name: str) -> Tensor:
    """Return each image with one corruption, at severities that take turns from image to image.

    The randomness comes from the images themselves, so that all models meet the same corruptions,
    and other images meet other ones.
    """
    first = list(_CORRUPTIONS).index(name)
    seed = zlib.crc32(images.cpu().numpy().tobytes(), first)
    generator = torch.Generator().manual_seed(seed)
    changed = torch.empty_like(images)
    for severity in SEVERITIES:
        mine = slice((severity + first) % len(SEVERITIES), None, len(SEVERITIES))
        changed[mine] = corrupt(images[mine], name, severity, generator)
    return changed


def severity_of(images: int, name: str) -> Tensor:
    """Return the severities of `benchmark`, (N,)."""
    first = list(_CORRUPTIONS).index(name)
    return (torch.arange(images) - first - 1) % len(SEVERITIES) + 1


# Noise


def _gaussian_noise(x: Tensor, sd: float, g: torch.Generator) -> Tensor:
    return x + sd * torch.randn(x.shape, generator=g)


def _shot_noise(x: Tensor, photons: float, g: torch.Generator) -> Tensor:
    return torch.poisson(x * photons, generator=g) / photons


def _impulse_noise(x: Tensor, amount: float, g: torch.Generator) -> Tensor:
    u = torch.rand(x.shape, generator=g)
    return x.masked_fill(u < amount / 2, 0).masked_fill_(u > 1 - amount / 2, 1)


# Blur


def _defocus_blur(x: Tensor, level: tuple[float, float], g: torch.Generator) -> Tensor:
    radius, softness = level
    axis = torch.arange(-3.0, 4)
    disk = (axis[:, None] ** 2 + axis**2 <= radius**2).float()
    soft = torch.exp(-(torch.arange(-1.0, 2) ** 2) / (2 * softness**2))
    soft = torch.outer(soft, soft)
    kernel = F.conv2d(disk[None, None] / disk.sum(), soft[None, None] / soft.sum(), padding=1)
    flat = F.pad(x, (3, 3, 3, 3), mode="reflect").flatten(0, 1).unsqueeze(1)
    return F.conv2d(flat, kernel).view_as(x)


def _glass_blur(x: Tensor, level: tuple[float, int, float], g: torch.Generator) -> Tensor:
    sigma, rounds, share = level
    x = _smooth(x, sigma)
    shape = (len(x), *x.shape[-2:])
    for _ in range(rounds):
        rows, columns = torch.randint(-1, 2, (2, *shape), generator=g)
        moves = torch.rand(shape, generator=g) < share
        x = _taken(x, rows * moves, columns * moves)
    return _smooth(x, sigma)


def _motion_blur(x: Tensor, level: tuple[int, float], g: torch.Generator) -> Tensor:
    return _moved(x, *level, torch.empty(len(x)).uniform_(-45, 45, generator=g))


def _zoom_blur(x: Tensor, most: float, g: torch.Generator) -> Tensor:
    factors = [1 + 0.01 * step for step in range(round(100 * most) + 1)]
    return (x + sum(_zoomed(x, factor) for factor in factors)) / (len(factors) + 1)


# Weather


def _snow(x: Tensor, level: tuple[float, ...], g: torch.Generator) -> Tensor:
    mean, sd, zoom, threshold, radius, sigma, light = level
    n, _, height, width = x.shape
    flakes = mean + sd * torch.randn(n, 1, height, width, generator=g)
    flakes = _zoomed(flakes, zoom)
    flakes = (flakes * (flakes >= threshold)).clamp_(0, 1)
    angle = torch.empty(n).uniform_(-135, -45, generator=g)
    flakes = _moved(flakes, radius, sigma, angle)
    gray = x if x.shape[1] == 1 else _luma(x)
    x = light * x + (1 - light) * torch.maximum(x, gray * 1.5 + 0.5)
    return x + flakes + flakes.flip((-2, -1))


def _frost(x: Tensor, level: tuple[float, float], g: torch.Generator) -> Tensor:
    image, ice = level
    return image * x + ice * _plasma(x, 2.0, g)


def _fog(x: Tensor, level: tuple[float, float], g: torch.Generator) -> Tensor:
    density, decay = level
    brightest = x.amax((1, 2, 3), keepdim=True)
    return (x + density * _plasma(x, decay, g)) * brightest / (brightest + density)


def _brightness(x: Tensor, more: float, g: torch.Generator) -> Tensor:
    value = x.amax(1, keepdim=True)  # V of HSV; hue and saturation stay
    lighter = (value + more).clamp_(max=1)
    return torch.where(value > 0, x * lighter / value.clamp(min=1e-6), lighter)


# Digital


def _contrast(x: Tensor, factor: float, g: torch.Generator) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) * factor + mean


def _elastic_transform(x: Tensor, level: tuple[float, float, float], g: torch.Generator) -> Tensor:
    alpha, sigma, reach = (share * x.shape[-2] for share in level)
    n, _, height, width = x.shape
    side = min(height, width) // 3
    # where three corners of a square about the center come from, each coordinate (x, y)
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]) * side
    moved = corners + torch.empty(n, 3, 2).uniform_(-reach, reach, generator=g)
    down, right = moved[:, 0] - moved[:, 1], moved[:, 1] - moved[:, 2]
    middle = moved[:, 0] / 2 + moved[:, 2] / 2
    wobble = torch.empty(n, 2, height, width).uniform_(-1, 1, generator=g)
    wobble = alpha * _smooth(wobble, sigma) if alpha else 0 * wobble
    rows, columns = (torch.arange(size) - (size - 1) / 2 for size in (height, width))
    dx, dy = columns + wobble[:, 0], rows[:, None] + wobble[:, 1]
    grid = torch.stack(
        [
            (right[:, i, None, None] * dx + down[:, i, None, None] * dy) / (2 * side)
            + middle[:, i, None, None]
            for i in (0, 1)
        ],
        -1,
    )
    grid = grid * 2 / torch.tensor([width, height])
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def _pixelate(x: Tensor, scale: float, g: torch.Generator) -> Tensor:
    sizes = [(size, int(size * scale)) for size in x.shape[-2:]]
    down, across = (_box(size, small) @ _box(small, size) for size, small in sizes)
    return down.T @ x @ across


def _jpeg_compression(x: Tensor, quality: int, g: torch.Generator) -> Tensor:
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    luma, chroma = (
        ((table * scale + 50) / 100).floor().clamp(1, 255) for table in (_LUMA, _CHROMA)
    )
    if x.shape[1] == 1:
        return _quantized(x, luma)
    y, cb, cr = (_TO_YCC @ x.flatten(2)).view_as(x).split(1, 1)
    colors = F.avg_pool2d(torch.cat([cb, cr], 1), 2, ceil_mode=True)  # 4:2:0
    colors = F.interpolate(_quantized(colors + 0.5, chroma) - 0.5, scale_factor=2)
    colors = colors[..., : x.shape[-2], : x.shape[-1]]
    ycc = torch.cat([_quantized(y, luma), colors], 1)
    return (_TO_YCC.inverse() @ ycc.flatten(2)).view_as(x)


# Far from natural images


def _stripe(x: Tensor, share: float, g: torch.Generator) -> Tensor:
    width = round(share * x.shape[-1])
    column = torch.arange(x.shape[-1])
    return torch.where((column < width) | (column >= x.shape[-1] - width), 1 - x, x)


def _dotted_line(x: Tensor, lines: int, g: torch.Generator) -> Tensor:
    dots = torch.arange(x.shape[-1]) // 2 % 2 == 0
    return _lines(x, lines, g, shown=dots)


def _zigzag(x: Tensor, lines: int, g: torch.Generator) -> Tensor:
    wave = 4 * ((torch.arange(x.shape[-1]) / 8) % 1 - 0.5).abs() - 1  # in [-1, 1], 8 pixels long
    return _lines(x, lines, g, offset=2 * wave)


def _inverse(x: Tensor, share: float, g: torch.Generator) -> Tensor:
    height = x.shape[-2]
    rows = round(share * height)
    first = torch.randint(0, height - rows + 1, (len(x), 1, 1, 1), generator=g)
    row = torch.arange(height).view(-1, 1)
    return torch.where((row >= first) & (row < first + rows), 1 - x, x)


# What several corruptions share


def _smooth(x: Tensor, sigma: float) -> Tensor:
    """Return x (N, C, H, W) under a Gaussian filter that ends at three sigma."""
    radius = min(int(3 * sigma + 0.5), min(x.shape[-2:]) - 1)
    if radius == 0:
        return x
    kernel = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    flat = F.pad(x, (radius,) * 4, mode="reflect").flatten(0, 1).unsqueeze(1)
    return F.conv2d(F.conv2d(flat, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1)).view_as(x)


def _taken(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return each pixel's value from so many rows and columns away, at most from the border.

    The offsets are (N, H, W), or (N, 1, 1) if all pixels of an image have one.
    """
    n, channels, height, width = x.shape
    row = (torch.arange(height)[:, None] + rows).clamp_(0, height - 1)
    column = (torch.arange(width) + columns).clamp_(0, width - 1)
    index = (row * width + column).view(n, 1, -1).expand(-1, channels, -1)
    return x.flatten(2).gather(2, index).view_as(x)


def _moved(x: Tensor, radius: int, sigma: float, degrees: Tensor) -> Tensor:
    """Return images blurred to one side along their angles (N,), by half a Gaussian."""
    radians = degrees.view(-1, 1, 1) * (math.pi / 180)
    steps = range(min(2 * radius + 1, int(3 * sigma) + 1))
    weights = [math.exp(-(step**2) / (2 * sigma**2)) for step in steps]
    moved = [
        _taken(x, (step * radians.sin()).round().long(), (step * radians.cos()).round().long())
        for step in steps
    ]
    return sum(w * each for w, each in zip(weights, moved, strict=True)) / sum(weights)


def _zoomed(x: Tensor, factor: float) -> Tensor:
    """Return the middle of each image, enlarged by a factor."""
    theta = torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]])
    grid = F.affine_grid(theta[None], [1, 1, *x.shape[-2:]], align_corners=False)
    grid = grid.expand(len(x), -1, -1, -1)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _box(before: int, after: int) -> Tensor:
    """Return the matrix of Pillow's box filter along one axis, (before, after)."""
    ratio = before / after
    center = (torch.arange(after) + 0.5) * ratio
    away = (torch.arange(before)[:, None] + 0.5 - center) / max(ratio, 1)
    inside = ((away > -0.5) & (away <= 0.5)).float()
    return inside / inside.sum(0)


def _plasma(x: Tensor, decay: float, g: torch.Generator) -> Tensor:
    """Return random height maps in [0, 1], (N, 1, H, W), by the diamond-square algorithm."""
    size = 2 ** math.ceil(math.log2(max(x.shape[-2:])))
    heights = torch.zeros(len(x), size, size)
    step, wibble = size, 100.0
    while step >= 2:
        half = step // 2

        def rough(total: Tensor, wibble: float = wibble) -> Tensor:
            noise = torch.empty_like(total).uniform_(-wibble, wibble, generator=g)
            return total / 4 + wibble * noise

        corners = heights[:, ::step, ::step]
        square = corners + corners.roll(-1, 1)
        heights[:, half::step, half::step] = rough(square + square.roll(-1, 2))
        centers = heights[:, half::step, half::step]
        across = corners + corners.roll(-1, 2)
        heights[:, ::step, half::step] = rough(centers + centers.roll(1, 1) + across)
        along = corners + corners.roll(-1, 1)
        heights[:, half::step, ::step] = rough(centers + centers.roll(1, 2) + along)
        step, wibble = half, wibble / decay
    heights -= heights.amin((1, 2), keepdim=True)
    heights /= heights.amax((1, 2), keepdim=True)
    return heights[:, None, : x.shape[-2], : x.shape[-1]]


def _luma(x: Tensor) -> Tensor:
    return (_TO_YCC[0].view(-1, 1, 1) * x).sum(1, keepdim=True)


def _quantized(x: Tensor, table: Tensor) -> Tensor:
    """Return x (N, C, H, W) with the cosine transform of its 8 x 8 blocks rounded by a table."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate") * 255 - 128
    blocks = padded.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-3, -2)
    spectrum = ((_COSINES @ blocks @ _COSINES.T) / table).round() * table
    back = (_COSINES.T @ spectrum @ _COSINES).transpose(-3, -2).flatten(-4, -3).flatten(-2)
    return (back[..., :height, :width].round() + 128) / 255


def _lines(
    x: Tensor, lines: int, g: torch.Generator, shown: Tensor | bool = True, offset: Any = 0.0
) -> Tensor:
    """Return images with white lines from the left to the right between random rows.

    Args:
        x: images.
        lines: number of lines.
        g: draws the rows.
        shown: whether a line is drawn in each column, (W,).
        offset: rows that it lies lower in each column, (W,).
    """
    height, width = x.shape[-2:]
    for _ in range(lines):
        left, right = torch.rand(2, len(x), 1, generator=g) * (height - 1)
        at = left + (right - left) * torch.linspace(0, 1, width) + offset  # (N, W)
        away = (torch.arange(height)[:, None] - at[:, None]).abs()
        x = torch.maximum(x, ((1.5 - away).clamp_(0, 1) * shown).unsqueeze(1))
    return x


# JPEG's cosine transform, color transform and quantization tables (ITU T.81, Annex K)
_COSINES = torch.cos(torch.arange(8.0)[:, None] * (2 * torch.arange(8.0) + 1) * math.pi / 16) / 2
_COSINES[0] /= math.sqrt(2)
_TO_YCC = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)
_LUMA = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_CHROMA = torch.full((8, 8), 99)
_CHROMA[:4, :4] = torch.tensor(
    [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
)

_CORRUPTIONS: dict[str, tuple[Callable[[Tensor, Any, torch.Generator], Tensor], Levels]] = {
    "gaussian_noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (_shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    # radius, softness of the edge
    "defocus_blur": (_defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    # sigma, rounds, share of the pixels that move
    "glass_blur": (
        _glass_blur,
        ((0.05, 1, 0.4), (0.25, 1, 0.6), (0.4, 1, 0.9), (0.25, 2, 0.8), (0.4, 2, 1.0)),
    ),
    # radius, sigma
    "motion_blur": (_motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2.25), (9, 2.5))),
    "zoom_blur": (_zoom_blur, (0.05, 0.10, 0.15, 0.20, 0.25)),
    # mean, sd, zoom and threshold of the flakes, radius and sigma of their motion, light
    "snow": (
        _snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    # weights of image and ice
    "frost": (_frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.5), (0.75, 0.6))),
    # density, decay of the height map's roughness
    "fog": (_fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": (_brightness, (0.05, 0.10, 0.15, 0.20, 0.30)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    # alpha, sigma and reach of the affine part, in heights of the image
    "elastic_transform": (
        _elastic_transform,
        (
            (0, 0, 0.03),
            (0.05, 0.2, 0.05),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.07),
            (0.1, 0.03, 0.08),
        ),
    ),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": (_jpeg_compression, (80, 65, 58, 50, 40)),
    # of MNIST-C
    "stripe": (_stripe, (0.05, 0.10, 0.15, 0.20, 0.25)),
    "dotted_line": (_dotted_line, (1, 2, 3, 4, 5)),
    "zigzag": (_zigzag, (1, 2, 3, 4, 5)),
    "inverse": (_inverse, (0.2, 0.4, 0.6, 0.8, 1.0)),
}
CIFAR_C = tuple(_CORRUPTIONS)[:15]
MNIST_C = tuple(_CORRUPTIONS)[15:]

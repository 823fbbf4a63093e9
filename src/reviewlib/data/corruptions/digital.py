"""What cameras and files do."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from reviewlib.data.corruptions.blur import smoothed

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


def contrast(x: Tensor, factor: float, g: torch.Generator) -> Tensor:
    """Bring the pixels nearer to their channel's mean, by a factor."""
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) * factor + mean


def elastic_transform(x: Tensor, level: tuple[float, float, float], g: torch.Generator) -> Tensor:
    """Bend: strength and sigma of the waves, reach of the affine part, in heights."""
    alpha, sigma, reach = (share * x.shape[-2] for share in level)
    n, _, height, width = x.shape
    side = min(height, width) // 3
    # where three corners of a square about the center come from, each coordinate (x, y)
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]) * side
    moved = corners + torch.empty(n, 3, 2).uniform_(-reach, reach, generator=g)
    down, right = moved[:, 0] - moved[:, 1], moved[:, 1] - moved[:, 2]
    middle = moved[:, 0] / 2 + moved[:, 2] / 2
    wobble = torch.empty(n, 2, height, width).uniform_(-1, 1, generator=g)
    wobble = alpha * smoothed(wobble, sigma) if alpha else 0 * wobble
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


def pixelate(x: Tensor, scale: float, g: torch.Generator) -> Tensor:
    """Shrink by a factor and enlarge, by Pillow's box filter."""
    sizes = [(size, int(size * scale)) for size in x.shape[-2:]]
    down, across = (_box(size, small) @ _box(small, size) for size, small in sizes)
    return down.T @ x @ across


def jpeg_compression(x: Tensor, quality: int, g: torch.Generator) -> Tensor:
    """Compress at a quality."""
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


def luma(x: Tensor) -> Tensor:
    """Return the gray images of color images."""
    return (_TO_YCC[0].view(-1, 1, 1) * x).sum(1, keepdim=True)


def _box(before: int, after: int) -> Tensor:
    """Return the matrix of Pillow's box filter along one axis, (before, after)."""
    ratio = before / after
    center = (torch.arange(after) + 0.5) * ratio
    away = (torch.arange(before)[:, None] + 0.5 - center) / max(ratio, 1)
    inside = ((away > -0.5) & (away <= 0.5)).float()
    return inside / inside.sum(0)


def _quantized(x: Tensor, table: Tensor) -> Tensor:
    """Return x (N, C, H, W) with the cosine transform of its 8 x 8 blocks rounded by a table."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate") * 255 - 128
    blocks = padded.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-3, -2)
    spectrum = ((_COSINES @ blocks @ _COSINES.T) / table).round() * table
    back = (_COSINES.T @ spectrum @ _COSINES).transpose(-3, -2).flatten(-4, -3).flatten(-2)
    return (back[..., :height, :width].round() + 128) / 255

"""Image corruptions at five severities: the 15 of CIFAR-10-C, and four of MNIST-C.

Sources: hendrycks/robustness `ImageNet-C/create_c/make_cifar_c.py`, and google-research/mnist-c
`corruptions.py`. The constants are those of CIFAR-10-C, made for 32 x 32 pixels, but for those
named below. Images of 28 x 28 get the same ones: blurs keep their pixels, and only the elastic
transform scales with the height. All is done in batches, on the CPU.

Departures, for want of a file or of speed, or because a higher severity must distort more:
- frost: a random height map instead of crops from photographs of frost, with more ice at the two
  highest severities;
- glass blur: a share of the pixels takes a random neighbor's value, where pairs would be swapped in
  turn; the share rises with the severity;
- motion blur and snow: whole pixels along the direction of motion; severity 4 of motion blur, which
  hardly differs from 3 in CIFAR-10-C, has a larger sigma;
- zoom blur, snow: one bilinear look-up about the center; scipy crops and resizes;
- elastic transform: both displacements in one look-up. CIFAR-10-C's first severities move pixels
  farther than its last ones do; here, the reach of the affine part rises instead of falling;
- JPEG: the quantized cosine transform without the lossless coding that follows it;
- the last four have one severity in MNIST-C. Here, five: the width of the two stripes, the number
  of lines, the share of the rows that is inverted.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from reviewlib.data.corruptions import blur, digital, noise, shapes, weather
from reviewlib.data.precision import default_type

SEVERITIES = (1, 2, 3, 4, 5)
Change = Callable[[Tensor, Any, torch.Generator], Tensor]

# each corruption with its arguments at the five severities
_CORRUPTIONS: dict[str, tuple[Change, Sequence[Any]]] = {
    "gaussian_noise": (noise.gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (noise.shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (noise.impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    # radius, softness of the edge
    "defocus_blur": (blur.defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    # sigma, rounds, share of the pixels that move
    "glass_blur": (
        blur.glass_blur,
        ((0.05, 1, 0.4), (0.25, 1, 0.6), (0.4, 1, 0.9), (0.25, 2, 0.8), (0.4, 2, 1.0)),
    ),
    # radius, sigma
    "motion_blur": (blur.motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2.25), (9, 2.5))),
    "zoom_blur": (blur.zoom_blur, (0.05, 0.10, 0.15, 0.20, 0.25)),
    # mean, sd, zoom and threshold of the flakes, radius and sigma of their motion, light
    "snow": (
        weather.snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    # weights of image and ice
    "frost": (weather.frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.5), (0.75, 0.6))),
    # density, decay of the height map's roughness
    "fog": (weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": (weather.brightness, (0.05, 0.10, 0.15, 0.20, 0.30)),
    "contrast": (digital.contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    # alpha, sigma and reach of the affine part, in heights of the image
    "elastic_transform": (
        digital.elastic_transform,
        (
            (0, 0, 0.03),
            (0.05, 0.2, 0.05),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.07),
            (0.1, 0.03, 0.08),
        ),
    ),
    "pixelate": (digital.pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": (digital.jpeg_compression, (80, 65, 58, 50, 40)),
    # of MNIST-C
    "stripe": (shapes.stripe, (0.05, 0.10, 0.15, 0.20, 0.25)),
    "dotted_line": (shapes.dotted_line, (1, 2, 3, 4, 5)),
    "zigzag": (shapes.zigzag, (1, 2, 3, 4, 5)),
    "inverse": (shapes.inverse, (0.2, 0.4, 0.6, 0.8, 1.0)),
}
CIFAR_C = tuple(_CORRUPTIONS)[:15]
MNIST_C = tuple(_CORRUPTIONS)[15:]


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
    with default_type(torch.float32):  # whatever the default is
        changed = change(images.cpu().float().div_(255), levels[severity - 1], generator)
    return changed.clamp_(0, 1).mul_(255).round_().to(torch.uint8).to(images.device)


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

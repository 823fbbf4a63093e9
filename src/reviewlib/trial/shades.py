"""How often each test image is classified correctly, kept as one hex digit an image."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# Digits are steps of a fifteenth.
SHADES = 15


def digits(shares: Iterable[float]) -> str:
    """Return the expected correctness of each image, in [0, 1], as hex digits."""
    return "".join(f"{round(SHADES * share):x}" for share in shares)


def shades(correct: str) -> NDArray:
    """Return the expected correctness of each image, in [0, 1], from its hex digits."""
    return np.array([int(digit, 16) for digit in correct]) / SHADES

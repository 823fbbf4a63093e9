"""Double descent: how many examples a procedure can fit, and models below and above that number.

Papers: Nakkiran, Kaplun, Bansal, Yang, Barak, Sutskever, "Deep Double Descent", ICLR 2020,
arXiv 1912.02292, for the effective model complexity; Belkin, Hsu, Ma, Mandal, PNAS 2019, arXiv
1812.11118, for random features and the solution of minimum norm.

Reference code: the authors of the first paper published models and results, not their training
code (gitlab.com/harvard-machine-learning/double-descent); we found none of the second paper's.

Differences:
1. Features are ReLUs of random directions; the second paper's on images are cosines.
2. The fit is exact linear algebra in float64. Singular values below 1e-10 of the largest count as
   zero; a larger cut, as in float32 or by a library's default, would itself regularize.
3. The read-out has no bias.
4. Bisection finds the effective model complexity, which assumes that the training error rises with
   the number of examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CUT = 1e-10  # of the largest singular value
EPSILON = 0.1  # the paper's own choice of a small training error


def ridge(features: Tensor, targets: Tensor, penalty: float, cut: float = CUT) -> Tensor:
    """Return the w (N, C) that minimizes |features w - targets|^2 / n + penalty |w|^2.

    Without a penalty, it is the least-squares solution of minimum norm.

    Args:
        features: (n, N), float64.
        targets: (n, C), float64.
        penalty: >= 0.
        cut: singular values below this fraction of the largest count as zero.

    Raises:
        ValueError: the penalty is negative or not finite, or an input is not float64.
    """
    if not 0 <= penalty < math.inf:
        raise ValueError(f"penalty must be non-negative and finite, got {penalty}")
    if {features.dtype, targets.dtype} != {torch.float64}:
        raise ValueError(f"least squares need float64, got {features.dtype}, {targets.dtype}")
    wide = features.shape[0] < features.shape[1]
    u, s, vh = torch.linalg.svd(features.mT if wide else features, full_matrices=False)
    left, right = (vh.mT, u) if wide else (u, vh.mT)  # a tall matrix is decomposed faster
    gain = torch.where(s > cut * s[0], s / (s.square() + len(features) * penalty), 0)
    return right @ (gain.unsqueeze(1) * (left.mT @ targets))


def minimum_norm(features: Tensor, targets: Tensor, cut: float = CUT) -> Tensor:
    """Return the least-squares w (N, C) of minimum norm; with N >= n it can fit every target."""
    return ridge(features, targets, 0.0, cut)


def rank(features: Tensor, cut: float = CUT) -> int:
    """Return the rank of features (n, N): how many examples they can fit for any targets."""
    s = torch.linalg.svdvals(features.mT if features.shape[0] < features.shape[1] else features)
    return int((s > cut * s[0]).sum())


class RandomFeatures(nn.Module):
    """A net with a random, fixed hidden ReLU layer and a least-squares read-out.

    Args:
        inputs: numbers per example.
        features: hidden units N.
        generator: draws their directions.
    """

    def __init__(self, inputs: int, features: int, generator: torch.Generator) -> None:
        """Draw the directions; `fit` finds the read-out."""
        super().__init__()
        directions = torch.randn(features, inputs, dtype=torch.float64, generator=generator)
        self.register_buffer("directions", directions / math.sqrt(inputs))
        self.register_buffer("readout", None)
        self.examples = 0

    def hidden(self, x: Tensor) -> Tensor:
        """Return the features (B, N) of x (B, inputs); norm about 1 if x has unit variance."""
        return F.relu(x.double() @ self.directions.mT) * math.sqrt(2 / len(self.directions))

    def fit(self, x: Tensor, y: Tensor, classes: int, penalty: float = 0.0) -> RandomFeatures:
        """Fit the one-hot labels y (n,) of x (n, inputs) by `ridge`, and return this net."""
        self.readout = ridge(self.hidden(x), F.one_hot(y, classes).double(), penalty)
        self.examples = len(y)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, classes)."""
        return self.hidden(x) @ self.readout


def effective_model_complexity(
    train_error: Callable[[int], float], most: int, epsilon: float = EPSILON
) -> int:
    """Return the largest number of examples that a procedure fits with a small error (Def. 1).

    Args:
        train_error: maps n to the procedure's mean training error on n examples, rising with n.
        most: upper end of the search; the result if even this many are fitted.
        epsilon: the error that counts as fitted.
    """
    fitted, unfitted = 0, most + 1
    while unfitted - fitted > 1:
        n = (fitted + unfitted) // 2
        fitted, unfitted = (n, unfitted) if train_error(n) <= epsilon else (fitted, n)
    return fitted


def threshold(train_errors: Mapping[float, float], epsilon: float = EPSILON) -> float | None:
    """Return the smallest size whose training error is small: there the EMC reaches n.

    Args:
        train_errors: mean training error by size.
        epsilon: the error that counts as fitted.

    Returns:
        The size, None if no size fits.
    """
    return min((size for size, error in train_errors.items() if error <= epsilon), default=None)

"""Calibration: whether a model's confidence is its accuracy, and the temperature that mends it.

Sources: Naeini, Cooper, Hauskrecht, AAAI 2015 (expected error); Nixon et al., 2019, arXiv
1904.01685 (adaptive bins); Hendrycks, Mazeika, Dietterich, ICLR 2019 (root mean square); Guo et
al., ICML 2017, arXiv 1706.04599 (temperature scaling).
"""

from __future__ import annotations

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

BINS = 15
HOTTEST = 20.0  # largest temperature that is tried, and its reciprocal the smallest


def calibration_errors(logits: Tensor, labels: Tensor, bins: int = BINS) -> dict[str, float]:
    """Return the expected, the adaptive and the root mean square calibration error, in [0, 1].

    Each compares confidence with accuracy, bin by bin; a bin counts by its share of the examples.
    The bins are equally wide; of the adaptive error, equally full.

    Args:
        logits: of N examples, (N, classes).
        labels: their classes, (N,).
        bins: number of bins.
    """
    confidence, predicted = logits.double().softmax(-1).max(-1)
    right = (predicted == labels).double()
    wide = (confidence * bins).ceil().long().clamp_(1, bins) - 1
    full = torch.empty_like(wide)
    full[confidence.argsort(stable=True)] = (
        torch.arange(len(wide), device=wide.device) * bins // len(wide)
    )
    gap, share = _gaps(confidence - right, wide, bins)
    adaptive_gap, adaptive_share = _gaps(confidence - right, full, bins)
    return {
        "expected_calibration_error": float(share @ gap.abs()),
        "adaptive_calibration_error": float(adaptive_share @ adaptive_gap.abs()),
        "rms_calibration_error": math.sqrt(share @ gap**2),
    }


def temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the number T > 0 for which logits / T have the lowest cross-entropy (Guo et al.).

    Args:
        logits: of validation examples, (N, classes).
        labels: their classes, (N,).
    """
    logits = logits.double()

    def loss(log_t: float) -> float:
        return float(F.cross_entropy(logits / math.exp(log_t), labels))

    most = math.log(HOTTEST)
    return math.exp(minimize_scalar(loss, bounds=(-most, most), method="bounded").x)


def _gaps(gap: Tensor, bin_of: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Return the mean gap in each bin and the bin's share of the examples, each (bins,)."""
    count = torch.bincount(bin_of, minlength=bins)
    total = torch.bincount(bin_of, gap, minlength=bins)
    return total / count.clamp(min=1), count.double() / len(gap)

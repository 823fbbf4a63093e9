"""Figures of lottery tickets: the connections of each pixel, and accuracy against sparsity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor

from reviewlib.page.chapter import Chapter
from reviewlib.page.curves import swept
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.lottery_tickets.arms import MAIN, SPARSER, SPARSEST

LEVELS = (MAIN, SPARSER, SPARSEST)
PERCENT = [100 * level.fixed["density"] for level in LEVELS]


def connections(masks: Mapping[str, Tensor]) -> np.ndarray:
    """Return how many units of the first layer read each pixel, (H, W), relative to the mean."""
    first = next(iter(masks.values())).sum(0)
    side = round(len(first) ** 0.5)
    return (first / first.mean()).view(side, side).numpy()


@needs_evidence
def show_sparsity(page: Chapter) -> None:
    """Display test accuracy over the density of the hidden layers; dense nets are flat lines."""

    def line(arm: str) -> pd.Series:
        values = swept(page.record, arm, LEVELS, "density", best=True)
        if arm.startswith("dense"):
            return pd.concat([values.set_axis([level] * len(values)) for level in PERCENT])
        return values.set_axis(100 * values.index)

    arms = ("ticket", "fine_tuned", "random", "dense", "dense_4x")
    page.show_over(
        {page.study.arm(arm).label: line(arm) for arm in arms},
        "hidden layers' weights left, %",
        "test accuracy, %",
        caption="Test accuracy by sparsity, at the settings that each arm chose with 20% left.",
    )

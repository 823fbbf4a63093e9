"""Figures of lottery tickets: the connections of each pixel, and accuracy against sparsity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor

from reviewlib.page.chapter import Chapter
from reviewlib.page.curves import swept
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.lottery_tickets.arms import DENSER, MAIN, SPARSER

LEVELS = (MAIN, DENSER, SPARSER)


def connections(masks: Mapping[str, Tensor]) -> np.ndarray:
    """Return how many units of the first layer read each pixel, (H, W), relative to the mean."""
    first = next(iter(masks.values())).sum(0)
    side = round(len(first) ** 0.5)
    return (first / first.mean()).view(side, side).numpy()


@needs_evidence
def show_sparsity(page: Chapter) -> None:
    """Display test accuracy over the density of the hidden layers; the dense net is a flat line."""

    def line(arm: str) -> pd.Series:
        values = swept(page.record, arm, LEVELS, "density")
        return values.set_axis(100 * values.index)

    lines = {page.study.arm(arm).label: line(arm) for arm in ("ticket", "reinitialized", "random")}
    dense, levels = line("dense").to_numpy(), [100 * each.fixed["density"] for each in LEVELS]
    lines["Dense"] = pd.concat([pd.Series(dense, [level] * len(dense)) for level in levels])
    page.show_over(
        lines,
        "hidden layers' weights left, %",
        "test accuracy, %",
        caption="Test accuracy by sparsity; each arm tuned at each level.",
    )

"""Figures of double descent: error over each quantity that the study sweeps."""

from __future__ import annotations

import pandas as pd

from reviewlib.page.chapter import Chapter
from reviewlib.page.curves import swept
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.double_descent.arms import (
    BEST,
    FEWER,
    PEAK,
    PRUNED_WIDTH,
    WIDEST,
    at,
    over,
)
from reviewlib.papers.double_descent.method import threshold


@needs_evidence
def show_nets(page: Chapter) -> None:
    """Display the nets' errors over their width, and the measured threshold."""
    wide = over("width", noise="noisy")
    lines = {
        "no penalty": swept(page.record, "plain", wide, "width", error=True),
        "tuned weight decay": swept(page.record, "decay", wide, "width", error=True),
        "no penalty, stopped early": swept(
            page.record, "plain", wide, "width", "early_accuracy", error=True
        ),
        "no penalty, on its training labels": fitted(page, "plain", wide, "width"),
    }
    training = lines["no penalty, on its training labels"].groupby(level=0).mean() / 100
    page.show_over(
        lines,
        "width",
        "error, %",
        caption="Nets over their width, 20% wrong labels; test labels are clean, training labels "
        "are not.",
        marks={"EMC reaches n: training error at most 10%": threshold(training)},
    )


@needs_evidence
def show_features(page: Chapter) -> None:
    """Display random features' errors over their number, and where their rank reaches n."""
    lines = {
        f"{words} penalty, {noise}": swept(
            page.record, arm, over("features", noise=noise), "features", error=True
        )
        for words, arm, noise in (
            ("no", "plain", "noisy"),
            ("tuned", "ridge", "noisy"),
            ("no", "plain", "clean"),
        )
    }
    noisy = over("features", noise="noisy")
    missing = swept(page.record, "plain", noisy, "features", "complexity", error=True)
    page.show_over(
        lines,
        "features / samples",
        "test error, %",
        caption="Random features, by their number as a multiple of the samples; noisy: 20% wrong "
        "labels.",
        marks={"rank at least 99% of n": threshold(missing.groupby(level=0).mean(), epsilon=1.0)},
    )


@needs_evidence
def show_samples(page: Chapter) -> None:
    """Display the errors of a fixed number of random features over the number of samples."""
    conditions = (*over("samples"), at("features", 1.0))
    page.show_over(
        {
            f"{words} penalty": swept(page.record, arm, conditions, "samples", error=True)
            for words, arm in (("no", "plain"), ("tuned", "ridge"))
        },
        "samples / features",
        "test error, %",
        caption="A fixed number of random features, 20% wrong labels.",
        marks={"samples = features": 1},
    )


@needs_evidence
def show_other_conditions(page: Chapter) -> None:
    """Display the nets' errors over their width with another optimizer, schedule and labels."""
    noisy, clean = over("width", noise="noisy"), over("width", noise="clean")
    lines = {
        page.study.arm(arm).label: swept(page.record, arm, noisy, "width", error=True)
        for arm in ("plain", "sgd", "constant")
    }
    lines["No penalty, clean labels"] = swept(page.record, "plain", clean, "width", error=True)
    caption = "Nets under other conditions."
    page.show_over(lines, "width", "test error, %", caption=caption)


@needs_evidence
def show_training(page: Chapter) -> None:
    """Display the validation errors of three nets during training."""
    page.show_over(
        {
            f"width {width}": along_training(page, f"width-{width}-noisy")
            for width in (BEST, PEAK, WIDEST)
        },
        "training step",
        "validation error, %",
        caption="Nets without a penalty along training, 20% wrong labels.",
    )


@needs_evidence
def show_images(page: Chapter) -> None:
    """Display the errors of the peak's net over the number of its training images."""

    def line(arm: str, metric: str = "accuracy") -> pd.Series:
        return extended(page, arm, "images", PEAK, page.record.preset["train"], metric)

    lines = {
        "no penalty": line("plain"),
        "tuned weight decay": line("decay"),
        "no penalty, stopped early": line("plain", "early_accuracy"),
        "no penalty, on its training labels": line("plain", "fitted"),
    }
    page.show_over(
        lines,
        "training images",
        "error, %",
        caption=f"A net of width {PEAK} by the number of its images, 20% wrong labels.",
        marks={"a quarter of the images": FEWER},
    )


@needs_evidence
def show_shortened(page: Chapter) -> None:
    """Display the widest net's errors over the fraction of the steps it is trained for."""
    page.show_over(
        parts(page, "plain", "steps", WIDEST),
        "share of the steps",
        "error, %",
        caption=f"The net of width {WIDEST}, trained for a part of the steps; 20% wrong labels.",
    )


@needs_evidence
def show_pruned(page: Chapter) -> None:
    """Display a pruned net's errors over its density."""
    page.show_over(
        parts(page, "pruned", "density", PRUNED_WIDTH),
        "share of the weights that is left",
        "error, %",
        caption=f"A net of width {PRUNED_WIDTH}, pruned, and whole at 1; 20% wrong labels.",
    )


def fitted(page: Chapter, arm: str, conditions: tuple, by: str) -> pd.Series:
    """Return an arm's errors in percent on the labels that it was trained on."""
    return swept(page.record, arm, conditions, by, "fitted", error=True)


def along_training(page: Chapter, condition: str) -> pd.Series:
    """Return the plain arm's validation errors in percent, indexed by training step."""
    curves = page.record.of("plain", condition)["curve"]
    points = [point for curve in curves for point in curve]
    return pd.Series([100 * (1 - value) for _, value in points], index=[step for step, _ in points])


def parts(page: Chapter, arm: str, what: str, width: int) -> dict[str, pd.Series]:
    """Return test and training errors over a fraction, `what`; at 1 is the full, plain net."""
    return {
        label: extended(page, arm, what, width, 1, metric)
        for label, metric in (("test", "accuracy"), ("its training labels", "fitted"))
    }


def extended(page: Chapter, arm: str, what: str, width: int, end: float, metric: str) -> pd.Series:
    """Return an arm's errors in percent over what is swept, with the whole net at the end.

    Args:
        page: the page.
        arm: name of the arm; where it has no whole net, that of the plain arm stands there.
        what: what is swept.
        width: the width of the whole net.
        end: where on the axis it stands.
        metric: column of the record, a fraction.
    """
    whole = at("width", width)
    name = arm if len(page.record.of(arm, whole.name)) else "plain"
    some = swept(page.record, arm, over(what), what, metric, error=True)
    full = swept(page.record, name, (whole,), "width", metric, error=True)
    return pd.concat([some, full.rename({width: end})])

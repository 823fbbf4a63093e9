"""Figures of double descent: error over each quantity that the study sweeps."""

from __future__ import annotations

import pandas as pd

from reviewlib.page.chapter import Chapter
from reviewlib.page.curves import swept
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.double_descent.arms import BEST, PEAK, PRUNED_WIDTH, WIDEST, at, over
from reviewlib.papers.double_descent.method import threshold


@needs_evidence
def show_nets(page: Chapter) -> None:
    """Display the nets' errors over their width, and the measured threshold."""
    wide = over("width", noise="noisy")
    lines = {
        "no penalty": swept(page.record, "plain", wide, "width", error=True),
        "tuned penalty": swept(page.record, "penalty", wide, "width", error=True),
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
        marks={"training error at most 10%": threshold(training)},
    )


@needs_evidence
def show_features(page: Chapter) -> None:
    """Display random features' errors over their number, and where their rank reaches n."""
    lines = {
        f"{words} penalty, {noise}": swept(
            page.record, arm, over("features", noise=noise), "features", error=True
        )
        for noise in ("noisy", "clean")
        for words, arm in (("no", "plain"), ("tuned", "penalty"))
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
            for words, arm in (("no", "plain"), ("tuned", "penalty"))
        },
        "samples / features",
        "test error, %",
        caption="A fixed number of random features, 20% wrong labels.",
        marks={"samples = features": 1},
    )


@needs_evidence
def show_other_conditions(page: Chapter) -> None:
    """Display the nets' errors over their width with another optimizer, schedule, and labels."""
    noisy, clean = over("width", noise="noisy"), over("width", noise="clean")
    lines = {
        page.study.arm(arm).label: swept(page.record, arm, noisy, "width", error=True)
        for arm in ("plain", "sgd", "cosine")
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
    whole = (at("width", width),)
    found = {
        "test": (
            swept(page.record, arm, over(what), what, error=True),
            swept(page.record, "plain", whole, "width", error=True),
        ),
        "its training labels": (
            fitted(page, arm, over(what), what),
            fitted(page, "plain", whole, "width"),
        ),
    }
    return {
        label: pd.concat([some, all_of_it.rename({width: 1})])
        for label, (some, all_of_it) in found.items()
    }

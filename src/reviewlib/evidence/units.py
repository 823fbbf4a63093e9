"""How an effect is written: accuracies in points, log ratios as factors, others unchanged."""

from __future__ import annotations

import math

from reviewlib.trial.claims import TIMED

MINUS = "\N{MINUS SIGN}"


def in_points(metric: str, scale: str = "difference") -> bool:
    """Return whether an effect is a difference of accuracies: a fraction, shown in points."""
    return ("accuracy" in metric or metric.endswith("error")) and scale == "difference"


def drawn(metric: str, scale: str = "difference") -> tuple[float, str]:
    """Return the factor that a figure applies to an effect, and the label of its axis."""
    name = metric.removeprefix("early_").replace("_", " ")
    if in_points(metric, scale):
        return 100.0, f"paired difference in test {name}, points"
    what = "log ratio of" if scale == "log ratio" else "difference in"
    return 1.0, f"paired {what} {'' if metric in TIMED else 'test '}{name}"


def effect(value: float, metric: str, scale: str = "difference", *, signed: bool = True) -> str:
    """Return an effect without its unit: 0.0123 of accuracy is "+1.23", a log ratio "×1.97"."""
    sign = "+" if signed else ""
    if scale == "log ratio":
        text = f"×{math.exp(value):.3g}"
    elif in_points(metric, scale):
        text = f"{100 * value:{sign}.2f}"
    else:
        text = f"{value:{sign}.3g}"
    return text.replace("-", MINUS)


def with_unit(value: float, metric: str, scale: str = "difference", *, signed: bool = True) -> str:
    """Return an effect with its unit, where it has one."""
    unit = " points" if in_points(metric, scale) else ""
    if metric.endswith("nll") and scale == "difference":
        unit = " nats"
    return effect(value, metric, scale, signed=signed) + unit


def percent(level: float) -> str:
    """Return a level without needless zeros: 0.98333 -> "98.3%"."""
    return f"{100 * level:.1f}".removesuffix(".0") + "%"

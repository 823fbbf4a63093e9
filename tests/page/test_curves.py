"""Lines over a numeric axis: means over seeds, and what they do where seeds are missing."""

from dataclasses import replace

import pandas as pd
import pytest
import toy

from reviewlib.evidence import stats
from reviewlib.page import curves

OF = toy.study()
FULL = [[1, 0.2], [10, 0.5], [40, 0.8]]


def with_curves(record, *of_seeds):
    """Return the record in which the seeds of every arm have these curves."""
    places = record.runs.groupby(["arm", "condition"]).cumcount()
    return replace(record, runs=record.runs.assign(curve=[of_seeds[place] for place in places]))


def lines(drawn):
    """Return the points of every line, by label."""
    return {line.get_label(): line.get_xydata().tolist() for line in drawn.fig.axes[0].lines}


def test_validation_accuracy_is_drawn_where_it_was_looked_at(record):
    higher = [[step, value + 0.1] for step, value in FULL]
    drawn = curves.along_training(OF, with_curves(record, FULL, higher, FULL), "noise", ["sgd"])
    (points,) = lines(drawn).values()
    assert [at for at, _ in points] == [2.5, 25, 100]  # uneven, as the recorded steps are
    assert [value for _, value in points] == pytest.approx([23.33, 53.33, 83.33], abs=0.01)
    assert "wrong labels" in drawn.caption and drawn.alt.endswith("SGD 23.33 to 83.33")


def test_a_seed_that_diverged_early_counts_as_long_as_it_has_points(record):
    low = [[1, 0.1]]
    drawn = curves.along_training(OF, with_curves(record, low, FULL, FULL), "clean", ["slow"])
    (points,) = lines(drawn).values()
    assert [at for at, _ in points] == [2.5, 25, 100]
    assert [value for _, value in points] == pytest.approx([50 / 3, 50, 80])


def test_where_a_single_seed_is_left_there_is_no_interval_and_no_point(record):
    drawn = curves.along_training(
        OF, with_curves(record, FULL[:1], FULL[:1], FULL), "clean", ["sgd"]
    )
    assert lines(drawn) == {"SGD": [[2.5, pytest.approx(20)]]}


def test_arms_all_of_whose_seeds_diverged_at_once_have_no_line(record):
    runs = with_curves(record, FULL, FULL, FULL).runs
    runs["curve"] = [
        [] if arm == "slow" else curve
        for arm, curve in zip(runs["arm"], runs["curve"], strict=True)
    ]
    drawn = curves.along_training(OF, replace(record, runs=runs), "clean", ["sgd", "slow"])
    assert lines(drawn)["Half the momentum"] == [] and len(drawn.table) == 3
    nobody = curves.along_training(OF, replace(record, runs=runs), "clean", ["slow"])
    assert nobody.table.empty


SWEEP = [replace(toy.CLEAN, name=f"width {w}", fixed={"width": w}) for w in (10, 2)]


@pytest.mark.parametrize(
    ("metric", "error", "value"),
    [("accuracy", False, 75), ("accuracy", True, 25), ("nll", False, 50)],
)
def test_a_sweep_is_indexed_by_the_setting_that_differs(record, metric, error, value):
    first = record.runs.iloc[0].to_dict()
    trials = len(first["diverged_at"])
    runs = pd.DataFrame(
        first
        | {"arm": arm, "condition": where.name, "fixed": {"width": w}}
        | {"scores": first["scores"] | {"accuracy": [right] * trials, "nll": [0.5] * trials}}
        for arm, right in (("sgd", 0.75), ("slow", 0.1))
        for where, w in zip((*SWEEP, toy.NOISE), (10, 2, 5), strict=True)
    )
    series = curves.swept(replace(record, runs=runs), "sgd", SWEEP, "width", metric, error=error)
    assert series.index.tolist() == [10, 2] and series.tolist() == pytest.approx([value] * 2)


def test_lines_over_an_axis_are_means_with_their_interval_and_marks_have_labels():
    values = pd.Series([1.0, 3.0, 4.0, 6.0], index=[10, 10, 100, 100])
    drawn = curves.over({"sgd": values}, "width", "error, %", {"threshold": 50.0}, "Errors.")
    assert lines(drawn)["sgd"] == [[10, 2], [100, 5]]
    assert lines(drawn)["threshold"] == [[50, 0], [50, 1]]
    interval = stats.t_interval([1.0, 3.0])
    assert drawn.table.to_dict("records")[0] == {
        "line": "sgd",
        "width": 10,
        "error, %, mean": 2,
        "95% low": round(interval.lo, 2),
        "95% high": round(interval.hi, 2),
        "n": 2,
    }
    assert drawn.caption.startswith("Errors. The band is the 95% interval")
    assert drawn.alt == (
        "Line chart of error, % over width: sgd from 2 to 5, at most 5; threshold at 50"
    )
    assert drawn.fig.axes[0].get_xscale() == "log"

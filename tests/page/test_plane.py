"""The figure of accuracy over cost."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
import toy

from reviewlib.page import plane

OF = toy.study(**toy.CONTROLLED)


def test_the_plane_has_each_arm_at_its_cost_and_mean_accuracy(controlled):
    runs = controlled.runs
    doubled = runs.assign(passes=runs["passes"] * runs["arm"].map({"slow": 2}).fillna(1))
    record = replace(controlled, runs=doubled)
    drawn = plane.over_cost(OF, record, "clean", ("sgd", "slow"))
    table = drawn.table.set_index("arm")
    assert table["cost"].to_dict() == {"SGD": "1×", "Half the momentum": "2×"}
    means = {name: 100 * record.of(name, "clean")["accuracy"].mean() for name in ("sgd", "slow")}
    assert table.loc["SGD", "mean, %"] == pytest.approx(means["sgd"], abs=0.01)
    best = "SGD" if means["sgd"] > means["slow"] else "Half the momentum"
    assert drawn.caption.startswith(f"{best} is the most accurate")
    assert f"{best} is the most accurate" in drawn.alt
    squares = [line.get_marker() for line in drawn.fig.axes[0].lines if line.get_marker() in "so"]
    assert squares == ["s", "o"]
    plt.close(drawn.fig)

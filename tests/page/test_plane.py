"""The figure of accuracy over cost."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
import toy

from reviewlib.evidence import stats
from reviewlib.page import plane

OF = toy.study(**toy.CONTROLLED)


def test_the_plane_has_each_arm_at_its_cost_and_its_paired_lead(controlled):
    runs = controlled.runs
    record = replace(controlled, runs=runs.assign(passes=runs["passes"] * 2))
    record.runs.loc[record.runs["arm"] == "sgd", "passes"] //= 2
    drawn = plane.over_cost(OF, record, "clean", ("slow", "again"))
    table = drawn.table.set_index("arm")
    assert list(table["cost"]) == ["2×", "2×"]
    own = {name: record.of(name, "clean").set_index("seed")["accuracy"] for name in ("slow", "sgd")}
    lead = stats.t_interval(100 * (own["slow"] - own["sgd"]))
    said = table.loc["Half the momentum"]
    assert float(said["mean, points"].replace("\N{MINUS SIGN}", "-")) == pytest.approx(
        lead.mean, abs=0.006
    )
    assert said["95% low"] == pytest.approx(lead.lo, abs=0.006)
    best = table["mean, points"].str.replace("\N{MINUS SIGN}", "-").astype(float).idxmax()
    assert drawn.caption.startswith(f"{best} is the most accurate of these")
    assert f"{best} is the most accurate of these" in drawn.alt
    places = [line.get_xdata()[0] for line in drawn.fig.axes[0].lines if line.get_marker() == "o"]
    assert places == pytest.approx([2, 2 + plane.APART])  # side by side
    plt.close(drawn.fig)


def test_labels_of_arms_with_one_cost_and_nearly_one_mean_stand_apart(controlled):
    runs = controlled.runs
    scores = runs.loc[(runs["arm"] == "slow") & (runs["condition"] == "clean"), "scores"]
    same = runs["arm"] == "again"
    record = replace(controlled, runs=runs.assign(scores=runs["scores"].astype(object)))
    for row, own in zip(runs.index[same], scores, strict=True):
        record.runs.at[row, "scores"] = own
    drawn = plane.over_cost(OF, record, "clean", ("slow", "again"))
    axis = drawn.fig.axes[0]
    low, high = sorted(text.xy[1] for text in axis.texts)
    bottom, top = axis.get_ylim()
    assert high - low >= 0.9 * plane.LINE * (top - bottom)
    plt.close(drawn.fig)

import pandas as pd
import pytest

from reviewlib import chapter, figures, records, stats, study, tables
from reviewlib.papers.double_descent import curves
from reviewlib.verdicts import Verdict


@pytest.fixture
def rows():
    """Two arms, two widths, three seeds."""
    return pd.DataFrame(
        {
            "arm": arm,
            "cell": f"width-{width}-noisy",
            "settings": {"width": width},
            "accuracy": 0.5 + 0.1 * seed + width / 1000,
            "early_accuracy": 0.9,
            "curve": [[10, 0.5 + 0.1 * seed], [20, 0.6]],
        }
        for arm in ("plain", "penalty")
        for width in (8, 64)
        for seed in range(3)
    )


def test_errors_are_percents_indexed_by_what_is_swept(rows):
    found = curves.errors(rows, "plain", ["width-8-noisy", "width-64-noisy"], "width")
    assert list(found.index) == [8, 8, 8, 64, 64, 64]
    assert list(found) == pytest.approx([49.2, 39.2, 29.2, 43.6, 33.6, 23.6])
    early = curves.errors(rows, "plain", ["width-8-noisy"], "width", "early_accuracy")
    assert list(early) == pytest.approx([10.0] * 3)


def test_validation_errors_are_indexed_by_the_step(rows):
    found = curves.validation_errors(rows, "penalty", "width-64-noisy")
    assert list(found.index) == [10, 20] * 3
    assert list(found[10]) == pytest.approx([50, 40, 30])


def test_lines_over_an_axis_are_means_with_intervals(rows):
    cells = ["width-8-noisy", "width-64-noisy"]
    lines = {arm: curves.errors(rows, arm, cells, "width") for arm in ("plain", "penalty")}
    fig, data = figures.over(lines, "width", "test error, %", {"threshold": 16})
    assert list(data["line"]) == ["plain"] * 2 + ["penalty"] * 2
    assert list(data["width"]) == [8, 64] * 2
    interval = stats.t_interval(lines["plain"][8])
    assert list(data.iloc[0])[2:] == [39.2, round(interval.lo, 2), round(interval.hi, 2), 3]
    (axis,) = fig.axes
    assert axis.get_xscale() == "log"
    assert [line.get_label() for line in axis.lines] == ["plain", "penalty", "threshold"]
    assert list(axis.lines[2].get_xdata()) == [16, 16]
    figures.plt.close(fig)


def test_a_page_shows_lines_with_their_marks(rows, monkeypatch):
    shown = []
    monkeypatch.setattr(figures, "show", lambda fig, **what: shown.append(what))
    monkeypatch.setattr(chapter.Chapter, "_stamp", "Stamp.")
    of = study.find("double_descent")
    page = chapter.Chapter(of, of.preset("quick"), "cpu")
    lines = {"plain": curves.errors(rows, "plain", ["width-8-noisy"], "width")}
    page.show_over(lines, "width", "test error, %", caption="Errors.", marks={"threshold": 16})
    page.show_over(lines, "width", "test error, %", caption="Errors.", marks={"threshold": None})
    page.show_over(lines, "width", "test error, %", caption="Errors.")
    assert shown[0]["caption"].startswith("Errors. The band") and "Stamp." in shown[0]["caption"]
    assert shown[0]["alt"].endswith("plain from 39.2 to 39.2, at most 39.2; threshold at 16")
    assert "threshold" not in shown[1]["alt"] + shown[2]["alt"]
    figures.plt.close("all")


def test_a_contrast_of_sizes_names_both():
    of = study.find("double_descent")
    claims = {claim.name: Verdict(claim, None) for claim in of.claims}
    assert tables.contrast_label(of, claims["early-peak"]) == (
        "No penalty (width 8, 20% wrong labels) \N{MINUS SIGN} "
        "No penalty (width 48, 20% wrong labels), stopped early"
    )
    assert tables.contrast_label(of, claims["penalty-widest"]) == (
        "Tuned penalty \N{MINUS SIGN} No penalty · width 256, 20% wrong labels"
    )


WHOLES = [("steps", "plain", 256), ("kept", "pruned", 128)]


@pytest.mark.parametrize(("knob", "arm", "width"), WHOLES)
def test_parts_of_a_net_end_with_the_whole_one_at_1(knob, arm, width):
    rows = records.load("double_descent", "laptop").rows
    test, fitted = curves.parts(rows, knob).values()
    whole = rows[(rows["arm"] == "plain") & (rows["cell"] == f"width-{width}-noisy")]
    assert (100 - test[1].to_numpy()).tolist() == pytest.approx((100 * whole["accuracy"]).tolist())
    least = min(test.index)
    some = rows[(rows["arm"] == arm) & (rows["cell"] == f"{knob}-{least:g}-noisy")]
    assert test[least].mean() == pytest.approx(100 - 100 * some["accuracy"].mean())
    assert fitted[1].mean() < fitted[least].mean()

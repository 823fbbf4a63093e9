import matplotlib.pyplot as plt
import pytest

from reviewlib import papers
from reviewlib.data.corruptions import CIFAR_C
from reviewlib.evidence.store import BOOK
from reviewlib.page.chapter import Chapter
from reviewlib.papers.augmix import figures
from reviewlib.papers.augmix.arms import augmix
from reviewlib.papers.augmix.figures import EVERY, QUIET
from reviewlib.papers.augmix.method import OPERATIONS


@pytest.fixture(scope="module")
def page():
    study = papers.find("augmix")
    return Chapter(study, study.preset("quick"), "cpu", BOOK)


def mean(page, arm, metric, condition="main", rows="rows"):
    table = getattr(page.record, rows)
    mine = (table["arm"] == arm) & (table["condition"] == condition)
    return table.loc[mine].set_index("seed")[metric]


def test_every_corruption_has_a_line_with_the_arms_means(page):
    drawn = figures._dumbbells(page)
    table = drawn.table.set_index("corruption")
    plt.close(drawn.fig)
    assert list(table.index) == [name.replace("_", " ") for name in EVERY]
    assert table["group"].value_counts().to_dict() == {"disjoint": 12, "far": 4, "overlapping": 3}
    fog = 100 * mean(page, "augmix", "fog_accuracy").mean()
    assert table.loc["fog", "AugMix, %"] == round(fog, 1)
    gap = fog - 100 * mean(page, "crop_3x", "fog_accuracy").mean()
    said = table.loc["fog", "AugMix - flip + crop at equal cost, points"]
    assert float(said.replace("\N{MINUS SIGN}", "-")) == pytest.approx(gap, abs=0.006)


def test_a_cell_is_the_accuracy_with_all_operations_minus_that_without_one(page):
    drawn = figures._heat_map(page)
    table = drawn.table.set_index("corruption")
    plt.close(drawn.fig)
    assert table.shape == (19, len(OPERATIONS))
    for name, operation in (("frost", "equalize"), ("stripe", "shear_x")):
        gap = [
            mean(page, arm, f"{name}_accuracy", "small", "best").mean()
            for arm in ("augmix", f"without_{operation}")
        ]
        shown = table.loc[name, operation.replace("_", " ")]
        assert shown == pytest.approx(100 * (gap[0] - gap[1]), abs=0.006)


def test_the_quiet_corruptions_are_the_disjoint_ones_without_weather(page):
    assert len(QUIET) == 9 and not {"snow", "frost", "fog", "brightness"} & set(QUIET)
    gap = sum(
        mean(page, "augmix", f"{name}_accuracy") - mean(page, "crop_3x", f"{name}_accuracy")
        for name in QUIET
    )
    text = figures.after_the_fact(page, QUIET)
    assert text.startswith(f"{100 * gap.mean() / 9:+.2f} points (looked at after the fact; ")


def test_a_temperature_of_the_baseline_is_held_against_none_of_the_methods(page):
    error = "corrupted_rms_calibration_error"
    lower = mean(page, "crop_3x", error.replace("rms", "scaled_rms")) - mean(page, "augmix", error)
    assert figures.against_temperature(page).startswith(f"{100 * lower.mean():+.2f} points")


def test_the_relative_error_is_a_mean_over_corruptions_of_ratios(page):
    ratios = [
        (1 - mean(page, "augmix", f"{name}_accuracy"))
        / (1 - mean(page, "crop_3x", f"{name}_accuracy"))
        for name in CIFAR_C
    ]
    expected = 100 * (sum(ratios) / 15).mean()
    assert figures.relative_error(page, augmix).startswith(f"{expected:.0f}% (95% interval ")


def test_the_table_has_each_calibration_error_of_each_arm(page):
    table = figures._calibration(page)
    row = table[(table["arm"] == "AugMix") & (table["images"] == "corrupted")].iloc[0]
    for column, metric in (
        ("ECE", "corrupted_expected_calibration_error"),
        ("RMS, scaled", "corrupted_scaled_rms_calibration_error"),
    ):
        assert float(row[column]) == pytest.approx(
            100 * mean(page, "augmix", metric).mean(), abs=0.051
        )

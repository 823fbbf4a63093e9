import matplotlib.pyplot as plt
import pytest

from reviewlib import papers
from reviewlib.evidence.store import BOOK
from reviewlib.evidence.verdicts import Verdict
from reviewlib.page import chapter, tables
from reviewlib.papers.double_descent import figures
from reviewlib.papers.double_descent.arms import PEAK, PRUNED_WIDTH, WIDEST

STUDY = papers.find("double_descent")


@pytest.fixture(scope="module")
def page():
    """A page that shows the laptop records."""
    page = chapter.Chapter(STUDY, STUDY.preset("quick"), "cpu")
    page.__dict__["_evidence"] = (BOOK.load("double_descent", "laptop"), [])
    return page


@pytest.mark.parametrize(
    ("what", "arm", "width"), [("steps", "plain", WIDEST), ("density", "pruned", PRUNED_WIDTH)]
)
def test_curves_over_a_fraction_end_with_the_full_net_at_1(page, what, arm, width):
    test, fitted = figures.parts(page, arm, what, width).values()
    whole = page.record.of("plain", f"width-{width}-noisy")["accuracy"]
    assert (100 - test[1].to_numpy()).tolist() == pytest.approx((100 * whole).tolist())
    least = min(test.index)
    some = page.record.of(arm, f"{what}-{least:g}-noisy")["accuracy"]
    assert test[least].mean() == pytest.approx(100 - 100 * some.mean())
    assert fitted[1].mean() < fitted[least].mean()


def test_errors_along_training_are_indexed_by_the_step(page):
    found = figures.along_training(page, f"width-{PEAK}-noisy")
    curves = page.record.of("plain", f"width-{PEAK}-noisy")["curve"]
    step, accuracy = curves.iloc[0][0]
    assert found[step].iloc[0] == pytest.approx(100 * (1 - accuracy))
    assert len(found) == sum(map(len, curves))


@pytest.mark.parametrize(
    "show",
    [
        figures.show_nets,
        figures.show_features,
        figures.show_samples,
        figures.show_images,
        figures.show_other_conditions,
        figures.show_training,
        figures.show_shortened,
        figures.show_pruned,
    ],
)
def test_every_figure_draws_the_records(page, show, monkeypatch):
    shown = []
    monkeypatch.setattr(chapter, "show", lambda drawn, stamp: shown.append((drawn, stamp)))
    show(page)
    ((drawn, stamp),) = shown
    assert stamp == page.stamp and len(drawn.table) and "Line chart" in drawn.alt
    plt.close(drawn.fig)


def test_a_contrast_of_sizes_names_both():
    claims = {claim.name: Verdict(claim, None) for claim in STUDY.claims}
    assert tables.contrast_label(STUDY, claims["early-peak"]) == (
        "No penalty (width 8, 20% wrong labels) \N{MINUS SIGN} "
        "No penalty (width 64, 20% wrong labels), stopped early"
    )
    assert tables.contrast_label(STUDY, claims["penalty-widest"]) == (
        "Tuned weight decay \N{MINUS SIGN} No penalty · width 1024, 20% wrong labels"
    )

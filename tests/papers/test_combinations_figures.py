"""What the capstone's figures and tables compute from a record, with effects that are known."""

import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from reviewlib import papers
from reviewlib.evidence.record import Record
from reviewlib.evidence.store import BOOK
from reviewlib.papers.combinations import arms, figures
from reviewlib.papers.combinations.arms import CLEAN, LONGER, NOISE, PAIRS, pairs
from reviewlib.papers.combinations.figures import budget, matrix, survival
from reviewlib.papers.combinations.methods import METHODS

STUDY = papers.find("combinations")
SEEDS, BASE = 10, 0.8
LABEL, AUGMIX, SAM, *_ = METHODS
GAINS = {"smoothing": 0.015, "augmix": 0.02, "sam": 0.002, "weightnet": 0.005}
MORE = {"plain_2x": 0.012, "plain_4x": 0.013, "stack": 0.04}


def row(name, where, seed, accuracy, tries=1, passes=1):
    """A run with this accuracy in its best trial, and a point less in all others."""
    values = [accuracy] + [accuracy - 0.01] * (tries - 1)
    scores = {"accuracy": values, "corrupted_accuracy": [value - 0.1 for value in values]}
    scores |= {"nll": [1 - value for value in values]}
    scores |= {f"validation_{key}": scores[key] for key in ("accuracy", "nll")}
    return {
        "arm": name,
        "condition": where.name,
        "seed": seed,
        "fixed": {},
        "settings": {},
        "scores": scores,
        "diverged_at": [None] * tries,
        "best": {},
        "curve": [],
        "passes": passes,
        "seconds": 1.0,
        "peak_bytes": None,
        "correct": None,
    }


def page_of(interactions=None, sd=0.0002):
    """A page with the gains of single methods as above, and these interactions of pairs."""
    noise = np.random.default_rng(0)
    gains = GAINS | MORE
    for pair, arm in pairs.items():
        alone = sum(GAINS.get(method.name, 0) for method in pair)
        gains[arm.name] = alone + (interactions or {}).get(pair, 0)
    for pair, arm in arms.SEARCHED.items():
        gains[arm.name] = gains[pairs[pair].name]
    rows = []
    for arm in STUDY.arms:
        for where in (CLEAN, NOISE, LONGER):
            if arm in STUDY.arms_in(where):
                gain = gains.get(arm.name, 0.0) + (0.004 if where is LONGER else 0)
                tries = 1 if arm.parents else 2
                passes = 3 if "augmix" in arm.name or arm is arms.stack else 1
                passes *= 2 if "ticket" in arm.name else 1
                rows += [
                    row(arm.name, where, seed, BASE + gain + sd * noise.normal(), tries, passes)
                    for seed in range(SEEDS)
                ]
    longer = {LONGER.name: {"tries": 2}}
    preset = {"name": "laptop", "tries": 1, "trials": 2, "where": longer}
    made = {"device": "cpu", "commit": "c0ffee"}
    record = Record("combinations", preset, 1, {}, "", made, pd.DataFrame(rows), pd.DataFrame(), {})
    return SimpleNamespace(
        study=STUDY,
        record=record,
        preset=SimpleNamespace(name="laptop"),
        store=BOOK,
        stamp="A stamp.",
        timing_stamp="",
    )


def cells(html):
    """The tables of HTML, each as a frame of texts."""
    frames = []
    for table in re.findall("<table.*?</table>", html, re.S):
        head = re.findall("<th>(.*?)</th>", table)
        body = [
            re.findall("<td>(.*?)</td>", line) for line in re.findall("<tr>(.*?)</tr>", table, re.S)
        ]
        frames.append(pd.DataFrame([line for line in body if line], columns=head))
    return frames


def points(text):
    """The number that a text starts with, to a tenth of a point."""
    return round(float(re.match("[+−]?[0-9.]+", text)[0].replace("−", "-")), 1)


@pytest.fixture
def drawn():
    """Return what draws a figure and closes it."""

    def draw(make, page):
        made = make(page)
        plt.close(made.fig)
        return made

    return draw


# The matrix


def test_the_matrix_says_which_pairs_overlap_and_which_help_each_other(drawn):
    made = drawn(matrix._matrix, page_of({(LABEL, AUGMIX): -0.01, (AUGMIX, SAM): 0.01}))
    assert "Label smoothing + AugMix overlap" in made.caption
    assert "AugMix + SAM help each other" in made.caption
    assert "2 of 15 differ from 0" in made.caption and made.caption.count("overlap") == 1
    ends = re.search(r"are (.*) \((.*) points\) and (.*) \((.*) points\)", made.alt)
    assert ends[1] == "Label smoothing + AugMix" and points(ends[2]) == -1
    assert ends[3] == "AugMix + SAM" and points(ends[4]) == 1
    table = made.table.set_index("pair")
    assert len(table) == 15 and set(table["n"]) == {SEEDS}
    planted = table.loc["Label smoothing + AugMix"]
    assert points(planted["interaction, points"]) == -1
    assert float(planted["p, Holm"]) < 1e-3 < float(table.loc["SAM + Ticket", "p, Holm"])
    assert (table["p, Holm"].astype(float) >= table["p"].astype(float)).all()


def test_a_matrix_without_interactions_says_that_none_differs_from_zero(drawn):
    made = drawn(matrix._matrix, page_of())
    assert "none of the 15 differs from 0" in made.caption
    assert "help each other" not in made.caption and "overlap" not in made.caption


def test_every_pair_has_its_cell_on_clean_and_on_corrupted_images_and_black_text(drawn):
    page = page_of({(LABEL, AUGMIX): -0.01})
    made = matrix._matrix(page)
    (axis,) = made.fig.axes
    assert len(axis.texts) == 2 * 36 and {text.get_color() for text in axis.texts} == {"black"}
    means = {text.get_position(): text for text in axis.texts[::2]}
    assert points(means[0.5, 1.38].get_text()) == -1  # row AugMix, column label smoothing: clean
    assert points(means[1.5, 0.38].get_text()) == -1  # corrupted
    assert points(means[1.5, 1.38].get_text()) == 2  # AugMix alone
    bold = [place for place, text in means.items() if text.get_weight() == "bold"]
    assert bold == [(0.5, 1.38)]
    assert re.fullmatch(
        r"−.* to −.*", axis.texts[2 * list(means).index((0.5, 1.38)) + 1].get_text()
    )
    filled = axis.collections[0].get_facecolors()[:, :3]
    linear = np.where(filled <= 0.04045, filled / 12.92, ((filled + 0.055) / 1.055) ** 2.4)
    assert (linear @ [0.2126, 0.7152, 0.0722] + 0.05).min() / 0.05 > 4.5  # contrast with black
    plt.close(made.fig)


def test_the_tables_of_all_pairs_have_main_effects_passes_and_four_measures():
    html = matrix.pairs_in_full(page_of({(LABEL, AUGMIX): -0.01})).data
    tables = cells(html)
    assert len(tables) == 4 and all(len(table) == 15 for table in tables)
    for measure in ("error", "log error", "corrupted error", "NLL"):
        assert f"All pairs by {measure}</summary>" in html
    first = tables[0].set_index("pair").loc["Label smoothing + AugMix"]
    assert points(first["gain of the first"]) == 1  # 1.5 alone and 0.5 on top
    assert points(first["gain of the second"]) == 1.5  # 2 alone and 1 on top
    assert points(first["interaction"]) == -1 and first["passes"] == "3×"
    assert tables[1].iloc[0]["interaction"].startswith("×")


# Survival


def test_survival_is_asked_of_supported_gains_next_to_every_other_method():
    (table,) = cells(survival.survivors(page_of({(LABEL, AUGMIX): -0.014})).data)
    # SAM and WeightNet gain less than a point, SliceOut and the ticket nothing
    assert list(dict.fromkeys(table["gain of"])) == ["Label smoothing", "AugMix"]
    by_pair = table.set_index(["gain of", "added to"])
    assert len(table) == 2 * 6  # five partners and the rest of the stack
    lost = by_pair.loc[("Label smoothing", "AugMix")]
    assert lost["the gain"] == "does not survive" and points(lost["added last, points"]) == 0.1
    assert points(lost["alone, points"]) == 1.5
    assert by_pair.loc[("Label smoothing", "SAM"), "the gain"] == "survives"
    rest = by_pair.loc[("AugMix", "the rest of the stack")]
    assert points(rest["added last, points"]) == 2  # 4 of the stack, 2 without AugMix


def test_without_a_supported_gain_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(survival.effects, "supported", lambda *_: [])
    assert "no gain of the 6 methods alone is supported" in survival.survivors(page_of()).data


# Budgets


def test_options_are_what_was_searched_and_cost_what_they_take():
    found = {each.label: each for each in budget.options(page_of())}
    assert len(found) == 4 + len(METHODS) + len(arms.SEARCHED) + 1
    assert found["2 times the steps"].cost == found["2 times the search"].cost == 2
    assert found["4 times the search"].gain.mean == pytest.approx(0.004 + 0.005, abs=0.001)
    # After two tries instead of one, always the better of the two trials.
    assert found["2 times the search"].gain.mean == pytest.approx(0.005, abs=1e-6)
    assert found["AugMix"].cost == 3 and found["Ticket"].cost == 2
    assert found["AugMix"].budget == 4 and found["Label smoothing"].budget == 1
    stack = next(each for label, each in found.items() if label.startswith("the stack: "))
    assert stack.gain.mean == pytest.approx(0.04, abs=0.001)
    assert stack.label == "the stack: label smoothing, AugMix and WeightNet"


def test_the_answer_for_a_budget_names_the_largest_gain_and_what_it_cannot_be_told_from():
    found = budget.options(page_of())
    two = "the largest gain is that of label smoothing + WeightNet (1×), +"
    assert budget.answer(found, 1).startswith(two)
    assert "the stack" in budget.answer(found, 4)
    near = [budget.Option("A", 1, 1, *[interval(0.010, 0.02)] * 2)]
    near += [budget.Option("B", 1, 1, *[interval(0.005, 0.02)] * 2)]
    assert budget.answer(near, 1).endswith("; as far as the intervals tell, as good: B (1×)")
    small = [budget.Option("A", 1, 1, *[interval(0.001, 0.003)] * 2)]
    assert budget.answer(small, 1).endswith("less than a point")
    nothing = [budget.Option("A", 1, 1, *[interval(-0.001, 0.003)] * 2)]
    assert budget.answer(nothing, 1).endswith("which may be nothing")


def interval(lo, hi):
    return budget.stats.Interval((lo + hi) / 2, lo, hi, 0.95, 10, 0.01)


def test_every_option_is_drawn_in_the_smallest_budget_that_it_fits_in(drawn):
    page = page_of()
    made = budget._budgets(page)
    assert [axis.get_title("left") for axis in made.fig.axes] == [
        f"{each}× the budget" for each in (1, 2, 4)
    ]
    drawn_labels = [text.get_text() for axis in made.fig.axes for text in axis.texts]
    assert len(drawn_labels) == len(made.table) == len(budget.options(page))
    assert "with 1×, the largest gain" in made.alt
    plt.close(made.fig)
    assert figures.answers(page).count("\n") == 2


def test_options_beyond_all_budgets_have_a_line_of_their_own():
    name, where = "laptop", papers.find("combinations")
    page = SimpleNamespace(study=where, record=BOOK.load("combinations", name))
    page.preset, page.store = SimpleNamespace(name=name), BOOK
    lines = figures.answers(page).splitlines()
    assert len(lines) == 4 and lines[-1].startswith("- **More than 4×**: the largest gain is that")
    found = {each.label: each for each in budget.options(page)}
    assert found["AugMix"].budget is None and found["AugMix"].passes == 3
    assert found["4 times the search"].passes == found["4 times the steps"].passes == 4
    # A ticket's net is trained twice, and its first training is timed.
    times = page.record.timings.table
    of = times[times["arm"].isin(["ticket", "plain"])].pivot(
        index="seed", columns="arm", values="step_seconds"
    )
    once = np.exp(np.log(of["ticket"] / of["plain"]).mean())
    assert found["Ticket"].cost == pytest.approx(2 * once, rel=1e-6)


def test_a_pair_that_was_searched_has_the_time_of_the_pair():
    for pair in PAIRS:
        alike = [each for each in arms.SEARCHED.values() if budget._alike(each, pairs[pair])]
        assert bool(alike) == (pair in arms.SEARCHED)

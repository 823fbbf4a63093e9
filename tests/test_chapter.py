"""What a page shows: escaped, with its origin, in the page's colors, and computed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import toy
from IPython.display import Markdown
from scipy.stats import spearmanr

from reviewlib import chapter, checklist, figures, records, tables, units, verdicts

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
def page(record):
    page = chapter.Chapter(toy.study(), toy.TINY, "cpu")
    page._seen = []
    page.__dict__["fresh"] = record
    return page


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    """A page of a study with controls and a measure of sharpness."""
    of = toy.study(**toy.CONTROLLED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        page = chapter.Chapter(of, toy.TINY, "cpu")
        assert page.fresh.rows["top_eigenvalue"].notna().all()
    return page


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr(figures, "display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def test_source_is_what_runs_and_its_body_stays_indented():
    text = chapter.source(chapter.Chapter.says).data
    assert text.startswith('```python\ndef says(self, name: str) -> str:\n    """Return')


def test_numbers_are_written_one_way():
    assert units.with_unit(0.01234, "accuracy") == "+1.23 points"
    assert units.effect(-0.005, "early_accuracy") == "−0.50"
    assert units.with_unit(-0.1234, "nll") == "−0.123"
    assert units.with_unit(0.6931, "nll", "log ratio") == "×2"
    assert units.effect(0.01, "accuracy", signed=False) == "1.00"
    assert units.drawn("early_accuracy") == (100, "paired difference in test accuracy, points")
    assert units.drawn("nll", "log ratio") == (1, "paired log ratio of test nll")
    assert units.percent(0.95) == "95%" and units.percent(1 - 0.05 / 3) == "98.3%"


def test_every_text_in_a_table_is_escaped_and_verdicts_wear_their_badge():
    html = tables.markup(pd.DataFrame({HOSTILE: [HOSTILE, "real but small"]}))
    assert "<script" not in html
    assert '<span class="verdict verdict-real-but-small">real but small</span>' in html
    assert "<script" not in tables.folded(HOSTILE, pd.DataFrame({"a": [1]}))


def test_hostile_labels_reach_no_page_unescaped(record, shown):
    arms = tuple(replace(arm, label=HOSTILE, note=HOSTILE) for arm in toy.ARMS)
    of = toy.study(arms=arms, claims=(replace(toy.CLAIM, statement=HOSTILE, where=HOSTILE),))
    page = chapter.Chapter(of, toy.TINY, "cpu")
    page.__dict__["fresh"] = record
    page.show_finals()
    page.show_contrasts("better")
    html = [page.claims().data, page.arms().data, page.verdict_table().data, page.price().data]
    html += [bundle["text/html"] for bundle in shown]
    assert all("<script" not in text for text in html)
    assert all("<script" not in bundle["image/svg+xml"] for bundle in shown)


def test_every_figure_has_alt_text_a_caption_with_its_origin_and_its_numbers(page, shown):
    page.show_trials()
    page.show_finals()
    page.show_contrasts("better")
    page.show_curves("noise", "sgd", "slow")
    assert len(shown) == 4
    for bundle in shown:
        html = bundle["text/html"]
        assert len(bundle["text/plain"]) > 30 and f'alt="{bundle["text/plain"][:10]}' in html
        assert "Preset laptop" in html and "n = 3 seeds" in html and "commit" in html
        assert "<table" in html


def test_ink_and_grid_follow_the_page_and_nothing_else_is_black(page, shown):
    page.show_trials()
    svg = shown[0]["image/svg+xml"]
    assert "var(--ink" in svg and "var(--grid" in svg and "prefers-color-scheme: dark" in svg
    assert "fill: #ffffff" not in svg and "stroke: #000000" not in svg


def test_equal_figures_are_equal_to_the_byte(page, shown):
    page.show_finals()
    page.show_finals()
    assert shown[0] == shown[1]


def test_the_trials_figure_shows_every_trial(page, record):
    _, data = figures.trials(page.study, record)
    assert len(data) == len(record.trials)


def test_sentences_are_made_from_the_verdicts(page, record):
    (out,) = verdicts.judge_all(page.study, record.rows)
    assert units.with_unit(out.interval.mean, "accuracy") in page.says("better")
    assert "n = 3" in page.says("better") and "95% interval" in page.says("better")
    assert page.verdict("better") == out.verdict


def test_a_machine_that_agrees_says_so_and_one_that_does_not_names_the_arm(
    page, record, monkeypatch
):
    monkeypatch.setattr(records, "load", lambda *_: record)
    assert "this machine agrees" in page.agreement().data
    moved = record.rows.assign(
        accuracy=record.rows["accuracy"].where(record.rows["arm"] == "sgd", 0)
    )
    page.__dict__["fresh"] = replace(record, rows=moved)
    assert "**disagrees** (Half the momentum, clean labels" in page.agreement().data


def test_agreement_compares_only_like_with_like(page, record, monkeypatch):
    other = replace(record, preset=dict(record.preset) | {"steps": 99})
    monkeypatch.setattr(records, "load", lambda *_: other)
    assert "at other sizes" in page.agreement().data


def test_the_page_says_what_it_rests_on_and_why_not_on_more(page, record):
    page.__dict__["_evidence"] = (record, ["gpu records are stale: the sizes"])
    text = page.evidence()
    assert isinstance(text, Markdown)
    assert "**laptop** records" in text.data and "**Note:** gpu records are stale" in text.data


def rules(of, record):
    frame = checklist.checklist(of, record)
    return dict(zip(frame.iloc[:, 0], frame["here"], strict=True))


def test_the_checklist_is_computed(record):
    of = toy.study()
    before = rules(of, record)
    assert before["1. Claims before results"] == "met"
    assert before["4. Equal tuning"] == "not met"  # three trials are fewer than eight
    assert before["6. Paired seeds"] == "not met"  # and three seeds fewer than ten
    assert before["7. Every run recorded"] == "met"
    assert before["11. Combination"] == "not met"
    after = rules(toy.study(claims=()), replace(record, rows=record.rows.iloc[1:]))
    assert after["1. Claims before results"] == "not met"
    assert after["7. Every run recorded"] == "not met"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"preset": "huge"}, "no preset 'huge'"),
        ({"seeds": 1}, "seeds must be at least 2"),
        ({"device": "tpu"}, "device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
    ],
)
def test_a_bad_parameter_is_an_error_before_anything_runs(parameters, message):
    with pytest.raises(ValueError, match=message):
        chapter.open_chapter("sam", **parameters)


def test_a_verdict_that_is_missing_or_rests_on_fewer_seeds_is_not_met(record, monkeypatch):
    (out,) = verdicts.judge_all(toy.study(), record.rows)
    fewer = replace(out, verdict=None, interval=replace(out.interval, n=2))
    assert rules(toy.study(), record)["8. Intervals"] == "met"
    assert rules(toy.study(), record)["9. Verdicts computed"] == "met"
    monkeypatch.setattr(checklist.verdicts, "judge", lambda *_: fewer)
    assert rules(toy.study(), record)["8. Intervals"] == "not met"
    assert rules(toy.study(), record)["9. Verdicts computed"] == "not met"


def test_controls_are_judged_each_by_itself(controlled):
    outs = controlled.control_verdicts
    assert list(outs) == ["tuned-twice", "planted"]
    for out in outs.values():
        assert out.interval.level == 0.95 and out.verdict in verdicts.GAIN_VERDICTS
        assert out.verdict in controlled.controls().data
    rows = controlled.record.rows
    without = rows[rows["arm"] != "part"]
    assert [out.claim.name for out in verdicts.judge_controls(controlled.study, without)] == [
        "tuned-twice"
    ]


def test_the_checklist_wants_controls_and_a_second_size(controlled, record):
    assert rules(controlled.study, controlled.record)["10. Controls on ourselves"] == "met"
    assert rules(toy.study(), record)["10. Controls on ourselves"] == "not met"


def test_a_second_valid_size_meets_the_rule_on_scale(record, monkeypatch):
    def load(name, preset, folder):
        if preset != "gpu":
            raise records.RecordError("none")
        return record

    assert rules(toy.study(), record)["11. Scale"] == "not met"
    monkeypatch.setattr(checklist, "load", load)
    monkeypatch.setattr(checklist, "faults", lambda *_: [])
    assert rules(toy.study(), record)["11. Scale"] == "met"
    monkeypatch.setattr(checklist, "faults", lambda *_: ["stale"])
    assert rules(toy.study(), record)["11. Scale"] == "not met"


def test_arms_are_shown_in_the_cells_they_are_run_in(controlled):
    for draw in (figures.finals, figures.trials):
        _, data = draw(controlled.study, controlled.record)
        assert set(data.loc[data["arm"] == "SGD again", "cell"]) == {"clean labels"}
        assert set(data["cell"]) == {"clean labels", "wrong labels"}


def test_sharpness_is_ranked_across_and_within_arms(controlled, shown):
    text = controlled.show_sharpness("noise").data
    data = tables.sharpness(controlled.study, controlled.record, "noise")
    assert list(data["arm"]) == list(data.sort_values("top eigenvalue")["arm"])
    rows = controlled.record.rows
    mine = rows[(rows["arm"] == "sgd") & (rows["cell"] == "noise")]
    by_hand = spearmanr(mine["top_eigenvalue"], 1 - mine["accuracy"]).statistic
    row = data[data["arm"] == "SGD"].iloc[0]
    assert row["rank correlation over seeds"] == pytest.approx(by_hand, abs=1e-3)
    assert row["test error, %"] == pytest.approx(100 * (1 - mine["accuracy"].mean()), abs=1e-3)
    assert f"across the {len(data)} arms" in text and "Exploratory" in text
    assert "Preset laptop" in shown[0]["text/html"]


def test_what_an_arm_costs_is_relative_to_the_baseline_of_its_cell(controlled):
    rows = controlled.record.rows
    longer = rows.assign(passes=rows["passes"] * rows["cell"].map({"clean": 1, "noise": 7}))
    cost = tables.passes(controlled.study, replace(controlled.record, rows=longer))
    assert (cost == 1).all()


def test_single_seeds_are_counted_by_what_each_alone_would_say(controlled):
    (out,) = verdicts.judge_all(controlled.study, controlled.record.rows)
    values = pd.Series([0.02, 0.01, 0.005, -0.01, -0.03], index=range(5))
    _, data = figures.single_seeds({"it": replace(out, values=values)})
    (row,) = data.to_dict("records")
    assert (row["seeds"], row["alone say: a gain"], row["alone say: a loss"]) == (5, 2, 2)
    assert row["alone say: neither"] == 1 and row["together"] == out.verdict


def test_main_effects_and_interaction_are_on_error_and_on_its_logarithm(controlled):
    arms = ("sgd", "slow", "part", "slow")
    frame = tables.two_by_two(controlled.study, controlled.record, arms, "noise")
    rows = controlled.record.rows
    error = {
        name: 1 - rows[(rows["arm"] == name) & (rows["cell"] == "noise")]["accuracy"].to_numpy()
        for name in set(arms)
    }
    first = ((error["sgd"] - error["slow"]) + (error["part"] - error["slow"])) / 2
    assert frame.iloc[0, 0] == "Half the momentum"
    assert frame.iloc[0, 1].startswith(f"{100 * first.mean():+.2f};".replace("-", "−"))
    logs = {name: np.log(value) for name, value in error.items()}
    joint = (logs["sgd"] - logs["slow"] - logs["part"] + logs["slow"]).mean()
    factor = float(frame.iloc[2, 2].split(";")[0].removeprefix("×"))
    assert factor == pytest.approx(np.exp(-joint), rel=0.01)

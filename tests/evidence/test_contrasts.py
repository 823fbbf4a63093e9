"""The contrast of every seed: paired, weighted, free of rounding errors, and what it refuses."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from reviewlib.evidence import stats
from reviewlib.evidence.contrasts import by_seed, fold_size, images_variance
from reviewlib.trial.arms import Arm, Condition
from reviewlib.trial.contrast import two_by_two


def rows(**arms):
    """Records from name=[values], one seed a value, counted from 0."""
    return pd.DataFrame(
        [
            {"arm": arm, "condition": condition, "seed": seed, "accuracy": value}
            for arm, values in arms.items()
            for condition, shift in (("clean", 0.0), ("noise", -0.5))
            for seed, value in enumerate(values)
            for value in [value + shift]
        ]
    )


GAIN = ((1, "new", "clean"), (-1, "old", "clean"))


def test_paired_accuracies_have_the_interval_of_a_paired_t_test():
    new, old = [0.84, 0.79, 0.85, 0.81], [0.80, 0.78, 0.79, 0.82]
    ours = stats.t_interval(by_seed(rows(new=new, old=old), GAIN, "accuracy"), 0.9875)
    theirs = scipy.stats.ttest_rel(new, old).confidence_interval(0.9875)
    assert (ours.lo, ours.hi) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_the_contrast_pairs_by_seed_whatever_the_order_of_the_rows():
    records = rows(new=[0.9, 0.7, 0.8], old=[0.6, 0.5, 0.7])
    for shuffled in (records, records.iloc[::-1], records.sample(frac=1, random_state=0)):
        values = by_seed(shuffled, GAIN, "accuracy")
        assert values.index.tolist() == [0, 1, 2]
        assert values.tolist() == pytest.approx([0.3, 0.2, 0.1])


def test_the_contrast_looks_at_the_declared_condition():
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5])
    terms = ((1, "new", "clean"), (-1, "new", "noise"))
    assert by_seed(records, terms, "accuracy").tolist() == pytest.approx([0.5, 0.5])


def test_the_contrast_averages_replicates_first():
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5])
    twice = pd.concat([records, rows(new=[0.5]).iloc[:1]])
    assert by_seed(twice, GAIN, "accuracy").tolist() == pytest.approx([0.1, 0.2])
    # Of a log ratio too: the logarithm of the mean.
    logs = by_seed(twice, GAIN, "accuracy", log=True)
    assert logs.tolist() == pytest.approx([math.log(0.7 / 0.6), math.log(0.7 / 0.5)])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_contrast_of_logarithms_is_a_log_ratio(sign):
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5])
    values = by_seed(records, GAIN, "accuracy", log=True, sign=sign)
    assert values.tolist() == pytest.approx([sign * math.log(1.5), sign * math.log(1.4)])


def test_the_contrast_turns_round_where_less_is_better():
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5])
    values = by_seed(records, GAIN, "accuracy", sign=-1.0)
    assert values.tolist() == pytest.approx([-0.3, -0.2])


COMBINED = {"both": [0.9, 0.8], "a": [0.7, 0.6], "b": [0.8, 0.75], "none": [0.5, 0.6]}
TABLE = two_by_two(
    *(
        Arm(name, name, role="ablation", search=(), note="", train=None)
        for name in ("none", "a", "b", "both")
    ),
    Condition("clean", "clean labels"),
)


@pytest.mark.parametrize(
    ("name", "values"),
    [("first", [0.15, 0.025]), ("second", [0.25, 0.175]), ("interaction", [-0.1, 0.05])],
)
def test_a_two_by_two_has_main_effects_and_an_interaction(name, values):
    found = by_seed(rows(**COMBINED), TABLE[name], "accuracy")
    assert found.tolist() == pytest.approx(values)
    # The error falls by what the accuracy rises.
    error = by_seed(rows(**COMBINED), TABLE[name], "error", sign=-1.0)
    assert error.tolist() == pytest.approx(values)


def test_an_interaction_of_logarithms_of_error_compares_factors():
    found = by_seed(rows(**COMBINED), TABLE["interaction"], "error", log=True, sign=-1.0)
    factors = [(0.3 * 0.2) / (0.1 * 0.5), (0.4 * 0.25) / (0.2 * 0.4)]
    assert found.tolist() == pytest.approx([math.log(factor) for factor in factors])


def test_errors_are_those_of_their_own_accuracy():
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5]).assign(early_accuracy=0.25)
    alone = ((1, "new", "clean"),)
    assert by_seed(records, alone, "early_error").tolist() == [0.75, 0.75]
    assert by_seed(records.assign(error=3.0), alone, "error").tolist() == [3.0, 3.0]


def test_ties_are_ties_in_spite_of_rounding():
    tied = rows(both=[0.8] * 3, a=[0.2] * 3, b=[0.7] * 3, none=[0.1] * 3)
    assert 0.1 - 0.2 - 0.7 + 0.8 > 0
    for terms in (TABLE["interaction"], reversed(TABLE["interaction"].terms)):
        assert by_seed(tied, terms, "accuracy").tolist() == [0, 0, 0]
    tied.loc[tied["arm"] == "both", "accuracy"] += 1e-9
    assert by_seed(tied, TABLE["interaction"], "accuracy").tolist() == [1e-9] * 3
    steps = rows(new=[0.82, 0.72, 0.32], old=[0.8, 0.7, 0.3])
    assert by_seed(steps, GAIN, "accuracy").tolist() == [0.02] * 3


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_rounding_keeps_twelve_digits_in_any_unit(unit):
    records = rows(new=[0.876543210987, 0.9], old=[0.8, 0.9])
    records["accuracy"] *= unit
    values = by_seed(records, GAIN, "accuracy")
    assert values.tolist() == pytest.approx([0.076543210987 * unit, 0.0], rel=1e-10, abs=0)
    assert by_seed(records.assign(zero=0.0), GAIN, "zero").tolist() == [0, 0]


def test_the_contrast_weighs_its_terms():
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5], mid=[0.8, 0.6])
    terms = ((1, "new", "clean"), (-0.5, "old", "clean"), (-0.5, "mid", "clean"))
    assert by_seed(records, terms, "accuracy").tolist() == pytest.approx([0.2, 0.15])


def test_the_contrast_names_the_unpaired_seeds():
    records = rows(new=[0.9, 0.7, 0.8], old=[0.6, 0.5, 0.7])
    holes = ((records["arm"] == "old") & (records["seed"] == 1)) | (
        (records["arm"] == "new") & (records["seed"] == 2)
    )
    with pytest.raises(
        ValueError, match=r"'old' in 'clean' is unpaired on seeds \[1, 2\]: run them"
    ):
        by_seed(records[~holes], GAIN, "accuracy")


@pytest.mark.parametrize("where", [0, 1, 2])
def test_the_contrast_compares_the_seeds_of_every_term(where):
    terms = ((1, "new", "clean"), (-0.5, "old", "clean"), (-0.5, "mid", "clean"))
    records = rows(new=[0.9, 0.7, 0.8], old=[0.6, 0.5, 0.7], mid=[0.8, 0.6, 0.7])
    hole = (records["arm"] == terms[where][1]) & (records["seed"] == 1)
    with pytest.raises(ValueError, match=r"is unpaired on seeds \[1\]"):
        by_seed(records[~hole], terms, "accuracy")


def test_the_contrast_names_the_missing_arm():
    with pytest.raises(
        ValueError, match="the records have no arm 'old' in condition 'clean': run it"
    ):
        by_seed(rows(new=[0.9, 0.7]), GAIN, "accuracy")


@pytest.mark.parametrize("metric", ["speed", "early_error"])
def test_the_contrast_names_the_missing_metric(metric):
    with pytest.raises(ValueError, match=f"must be a column of the records, got '{metric}'"):
        by_seed(rows(new=[0.9, 0.7], old=[0.6, 0.5]), GAIN, metric)


def test_the_contrast_needs_terms():
    with pytest.raises(ValueError, match="needs at least one"):
        by_seed(rows(new=[0.9, 0.7]), (), "accuracy")


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("column", [{}, {"diverged_at": math.nan}])
def test_the_contrast_names_the_seeds_that_are_not_a_number(value, column):
    records = rows(new=[0.9, 0.7, 0.8], old=[0.6, value, 0.7]).assign(**column)
    message = r"^accuracy of arm 'old' in 'clean' is not a number on seeds \[1\]: run them again$"
    with pytest.raises(ValueError, match=message):
        by_seed(records, GAIN, "accuracy")


def test_the_contrast_tells_a_diverged_run_without_a_score_from_a_hole():
    records = rows(new=[0.9, 0.7, 0.8], old=[0.6, math.nan, 0.7]).assign(diverged_at=math.nan)
    records.loc[records["seed"] == 1, "diverged_at"] = 17
    with pytest.raises(ValueError, match=r"on seeds \[1\], which diverged: score chance"):
        by_seed(records, GAIN, "accuracy")
    records.loc[records["seed"] == 2, "accuracy"] = math.nan
    with pytest.raises(ValueError, match=r"'new' in 'clean' is not a number on seeds \[2\]: run"):
        by_seed(records, GAIN, "accuracy")


def test_the_contrast_takes_a_diverged_run_at_its_score():
    records = rows(new=[0.9, 0.1], old=[0.6, 0.5]).assign(
        diverged_at=[math.nan, math.nan, 3.0] * 2 + [math.nan] * 2
    )
    assert by_seed(records, GAIN, "accuracy").tolist() == pytest.approx([0.3, -0.4])


def test_the_contrast_does_not_drop_a_replicate_that_is_not_a_number():
    records = pd.concat([rows(new=[0.9, 0.7], old=[0.6, 0.5]), rows(old=[math.nan])])
    with pytest.raises(ValueError, match=r"not a number on seeds \[0\]"):
        by_seed(records, GAIN, "accuracy")


@pytest.mark.parametrize("value", [0.0, -0.5])
def test_the_contrast_rejects_the_logarithm_of_what_is_not_positive(value):
    records = rows(new=[0.9, 0.7], old=[0.6, value])
    message = r"accuracy of arm 'old' in 'clean' is not positive on seeds \[1\]"
    with pytest.raises(ValueError, match=message):
        by_seed(records, GAIN, "accuracy", log=True)


# The images' own correctness


def kept(**arms):
    """Records with the correctness of four images, seed by seed."""
    accuracies = {arm: [0.5] * len(seeds) for arm, seeds in arms.items()}
    records = rows(**accuracies)
    digits = [
        None if images is None else "".join(f"{value:x}" for value in images)
        for arm in records["arm"].unique()
        for _ in ("clean", "noise")
        for images in arms[arm]
    ]
    return records.assign(correct=digits)


BOTH = kept(
    new=[[15, 15, 0, 3], [0, 0, 15, 15]],
    old=[[15, 0, 0, 0], [15, 15, 0, 0]],
)


def test_images_variance_is_that_of_the_paired_correctness_averaged_over_seeds():
    differences = [[0, 1, 0, 0.2], [-1, -1, 1, 1]]
    expected = np.mean([np.var(seed, ddof=1) for seed in differences])
    assert images_variance(BOTH, GAIN) == pytest.approx(expected)
    assert images_variance(BOTH.iloc[::-1], GAIN) == pytest.approx(expected)
    halves = [(weight / 2, arm, condition) for weight, arm, condition in GAIN]
    assert images_variance(BOTH, halves) == pytest.approx(expected / 4)
    over = (*GAIN, (-1, "new", "noise"), (1, "old", "noise"))
    assert images_variance(BOTH, over) == 0


def test_images_variance_averages_replicates():
    twice = pd.concat([BOTH, kept(new=[[15, 15, 15, 3], [0, 0, 15, 15]])])
    expected = np.mean([np.var(seed, ddof=1) for seed in ([0, 1, 0.5, 0.2], [-1, -1, 1, 1])])
    assert images_variance(twice, GAIN) == pytest.approx(expected)


def test_images_variance_is_not_known_where_the_images_were_not_kept():
    lost = kept(new=[[15, 0, 0, 0], None], old=[[0, 0, 0, 0], [0, 0, 0, 0]])
    assert math.isnan(images_variance(lost, GAIN))
    assert math.isnan(images_variance(rows(new=[0.9], old=[0.8]), GAIN))
    assert images_variance(lost, ((1, "old", "clean"), (-1, "old", "noise"))) == 0


def test_the_size_of_a_fold_is_known_if_any_run_kept_its_images():
    new = ((1, "new", "clean"),)
    assert fold_size(kept(new=[None, [15, 0, 0]]), new) == 3
    assert fold_size(kept(new=[None]), new) is None and fold_size(rows(new=[0.9]), new) is None
    assert fold_size(kept(new=[[15, 0, 0]], old=[[0, 15]]), ((1, "old", "clean"),)) == 2

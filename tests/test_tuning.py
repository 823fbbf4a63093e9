"""Every arm gets the same trials from one sequence, and tuning never sees a test image."""

import math
from dataclasses import replace

import pytest
import toy

from reviewlib import compare, data, runs, study, tuning
from reviewlib.study import Arm, Claim, Knob

pytestmark = pytest.mark.usefixtures("own_cache")


def fake(score):
    """Return a stand-in for running: `score` maps a run to its accuracy."""

    def run_all(batch):
        run_all.asked += batch
        return [
            {"accuracy": score(run), "diverged_at": None, "seconds": 0.0, "seed": run.seed}
            for run in batch
        ]

    run_all.asked = []
    return run_all


def tuned(of, score):
    run_all = fake(score)
    return tuning.tune(of, toy.TINY, run_all), run_all.asked


def test_every_arm_gets_the_same_trials_on_the_same_tuning_seeds():
    _, asked = tuned(toy.study(), lambda run: 0.5)
    counts = {}
    for run in asked:
        counts.setdefault((run.arm.name, run.cell.name), []).append(run.seed)
    assert len(counts) == 4
    assert len({tuple(seeds) for seeds in counts.values()}) == 1
    assert len(next(iter(counts.values()))) == toy.TINY.trials * toy.TINY.tuning_seeds


def test_tuning_seeds_are_no_final_seeds_and_tuning_holds_no_fold():
    _, asked = tuned(toy.study(), lambda run: 0.5)
    assert min(run.seed for run in asked) >= tuning.FIRST_TUNING_SEED > 10_000
    assert {(run.phase, run.fold) for run in asked} == {("tuning", None)}


def test_arms_read_their_own_knobs_from_one_sequence():
    of = toy.study()
    sgd, slow = (tuning.trials_of(of, arm, 4) for arm in of.arms)
    assert [dict(trial)["lr"] for trial in sgd] == [dict(trial)["lr"] for trial in slow]
    assert all("damping" not in dict(trial) for trial in sgd)


def test_the_sequence_stays_in_range_fills_it_and_starts_in_the_middle():
    of = toy.study()
    points = tuning.sequence(of, 16)
    lrs = sorted(point["lr"] for point in points)
    assert len(points) == 16
    assert points[0] == {"lr": pytest.approx(math.sqrt(0.001), rel=1e-3), "damping": 0.5}
    assert 0.01 <= lrs[0] < 0.0135 and 0.075 < lrs[-1] <= 0.1
    assert points == tuning.sequence(of, 16)
    assert points[:8] == tuning.sequence(of, 8)


def test_the_best_mean_over_tuning_seeds_is_chosen_for_each_cell():
    of = toy.study()
    wanted = {("clean", "sgd"): 2, ("clean", "slow"): 0, ("noise", "sgd"): 1, ("noise", "slow"): 2}

    def score(run):
        trial = wanted[(run.cell.name, run.arm.name)]
        return 0.9 if run.settings == tuning.trials_of(of, run.arm, 3)[trial] else 0.2

    trials, _ = tuned(of, score)
    chosen = trials[trials["chosen"]]
    assert {(row["cell"], row["arm"]): row["trial"] for row in chosen.to_dict("records")} == wanted
    assert tuning.settings_of(trials, "slow", "noise") == dict(
        tuning.trials_of(of, of.arm("slow"), 3)[2]
    )


def test_a_control_has_a_search_of_its_own_over_the_same_ranges():
    of = toy.study()
    control = replace(of.arms[0], name="again", role="control", search=1)
    own, shared = (
        {settings for settings in tuning.trials_of(of, arm, 9)} for arm in (control, of.arms[0])
    )
    assert len(own) == len(shared) == 9 and not own & shared
    assert all(0.01 <= dict(settings)["lr"] <= 0.1 for settings in own)


def test_an_arm_is_tuned_only_in_the_cells_that_it_is_run_in():
    arms = (*toy.ARMS, replace(toy.ARMS[0], name="late", role="ablation", cells=("noise",)))
    trials, _ = tuned(toy.study(arms=arms), lambda run: 0.5)
    assert set(trials[trials["arm"] == "late"]["cell"]) == {"noise"}
    assert set(trials[trials["arm"] == "sgd"]["cell"]) == {"clean", "noise"}


@pytest.mark.parametrize(("value", "edge"), [(0.0101, ["lr"]), (0.03, []), (0.099, ["lr"])])
def test_an_optimum_at_the_edge_of_its_range_is_flagged(value, edge):
    assert tuning.at_edge(toy.study(), {"lr": value}) == edge


def test_a_tuning_sample_has_no_test_images():
    dataset = data.load("fashion-mnist-subset")
    sample = runs.draw(dataset.development, toy.TINY, toy.study().cells[0], 0)
    assert not hasattr(dataset.development, "test") and not hasattr(sample, "test")


def test_knobs_keep_their_scale():
    assert Knob("x", 0.01, 1.0).at(0.5) == 0.1
    assert Knob("x", 0.0, 1.0, log=False).at(0.25) == 0.25


BAD = (
    ({"arms": (*toy.ARMS, toy.ARMS[0])}, "names must differ"),
    ({"arms": (replace(toy.ARMS[0], knobs=("rho",)), toy.ARMS[1])}, "undeclared knobs.*rho"),
    ({"not_applicable": {}}, "no arm in the role 'baseline at equal cost'"),
    ({"claims": tuple(replace(toy.CLAIM, name=str(i)) for i in range(5))}, "at most four"),
    (
        {"claims": (replace(toy.CLAIM, contrast=((1, "sam", "clean"), (-1, "sgd", "clean"))),)},
        "compares sam in clean, which the study does not run",
    ),
    (
        {"arms": (toy.ARMS[0], replace(toy.ARMS[1], cells=("noise",)))},
        "compares slow in clean, which the study does not run",
    ),
    ({"arms": (replace(toy.ARMS[0], knobs=()), toy.ARMS[1])}, "core arm sgd has no knobs"),
    (
        {"arms": (toy.ARMS[0], replace(toy.ARMS[1], knobs=("damping",), fixed={"lr": 0.1}))},
        r"core arm slow holds \['lr'\] fixed",
    ),
    ({"arms": (toy.ARMS[0], replace(toy.ARMS[1], search=1))}, "core arm slow has a search"),
    ({"arms": (replace(toy.ARMS[0], share=0.5), toy.ARMS[1])}, "core arm sgd has .* share"),
)


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[message for _, message in BAD])
def test_an_unfair_study_cannot_be_built(changes, message):
    with pytest.raises(ValueError, match=message):
        toy.study(**changes)


def test_a_claim_that_cannot_be_tested_as_declared_is_refused():
    with pytest.raises(ValueError, match="weights sum to 0"):
        replace(toy.CLAIM, contrast=((1, "slow", "clean"),))
    with pytest.raises(ValueError, match="margin above 0"):
        replace(toy.CLAIM, margin=0.0)
    with pytest.raises(ValueError, match="needs a control"):
        replace(toy.CLAIM, kind="no loss")
    with pytest.raises(ValueError, match="say why"):
        Claim("far", "Far.", "Table 1", "out of scope")
    with pytest.raises(ValueError, match="role of arm x"):
        Arm("x", "X", "winner", (), "no such role")


def test_unknown_studies_and_presets_are_named_with_those_there_are():
    with pytest.raises(ValueError, match="'nothing'; there are: .*sam"):
        study.find("nothing")
    with pytest.raises(ValueError, match="no preset 'huge'; it has quick, laptop, gpu"):
        study.find("sam").preset("huge")


def test_an_arm_without_knobs_has_one_trial():
    held = Arm("held", "Held", "handicapped", (), "nothing tuned", fixed={"lr": 0.05})
    of = toy.study(arms=(*toy.ARMS, held))
    table, asked = tuned(of, lambda run: 0.5)
    assert len(table[table["arm"] == "held"]) == len(of.cells)
    runs_of = [run for run in asked if run.arm.name == "held"]
    assert len(runs_of) == len(of.cells) * toy.TINY.tuning_seeds
    total = compare.runs_in(of, toy.TINY) - compare.runs_in(toy.study(), toy.TINY)
    assert total == len(of.cells) * (toy.TINY.tuning_seeds + toy.TINY.seeds)

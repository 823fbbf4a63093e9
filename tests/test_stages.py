"""A run in stages: what follows hangs on what came out, and its row counts all of it."""

from dataclasses import replace

import pytest
import torch
import toy

from reviewlib import compare, data, runs, stages, train
from reviewlib.train import Solution

OF = toy.study()
RUN = runs.Run(OF.arms[0], OF.cells[0], (("lr", 0.05),), 0, toy.TINY, "final", (0, 3))
PASSES = toy.TINY.steps * toy.TINY.batch_size


def again(training, start):
    """Return what trains the model once more, from copies of given parameters."""

    def then(fit):
        with torch.no_grad():
            for own, first in zip(fit.model.parameters(), start, strict=True):
                own.copy_(first)
        return [replace(training, model=fit.model)]

    return then


def described(lr=0.05, seed=0, then=None):
    sample = toy_sample(seed)
    training = toy.run(OF.arms[0], {"lr": lr}, sample, toy.TINY, seed)
    return replace(training, then=then(training) if then else None)


def toy_sample(seed):
    return runs.draw(data.load(toy.TINY.data).development, toy.TINY, OF.cells[0], seed)


def rewinding(training):
    return again(training, [p.detach().clone() for p in training.model.parameters()])


def test_a_rewound_stage_ends_where_the_first_one_did_and_costs_twice():
    ((once,),) = stages.complete([described()])
    ((twice,),) = stages.complete([described(then=rewinding)])
    torch.testing.assert_close(twice.losses, once.losses, rtol=0, atol=0)
    assert (once.passes, twice.passes) == (PASSES, 2 * PASSES)
    assert twice.seconds > 0


def test_stages_of_several_runs_train_as_one_stack(monkeypatch):
    sizes, fit_all = [], train.fit_all
    monkeypatch.setattr(stages, "fit_all", lambda many: (sizes.append(len(many)), fit_all(many))[1])
    starts = [described(seed=seed, then=rewinding) for seed in (0, 1, 2)]
    together = stages.complete([*starts, described(seed=3)])
    assert sizes == [4, 3]
    for seed, (end,) in enumerate(together[:3]):
        ((solo,),) = stages.complete([described(seed=seed, then=rewinding)])
        torch.testing.assert_close(end.losses, solo.losses, rtol=1e-4, atol=1e-5)


def test_replicates_are_scored_by_their_mean():
    def three(training):
        return lambda fit: [described(lr=lr) for lr in (0.01, 0.05, 1e30)]

    def run(*_):
        return described(then=three)

    (row,) = runs.perform(toy.study(run=run), [RUN])
    alone = [
        runs.perform(toy.study(run=lambda *_, lr=lr: described(lr)), [RUN])[0]
        for lr in (0.01, 0.05, 1e30)
    ]
    for metric in ("accuracy", "nll", "train_accuracy"):
        mean = sum(one[metric] for one in alone) / 3
        assert row[metric] == pytest.approx(mean, abs=1e-6)
    assert row["diverged_at"] == alone[2]["diverged_at"] is not None
    assert row["passes"] == round(PASSES + sum(one["passes"] for one in alone) / 3)


def test_a_stage_that_diverged_leads_nowhere():
    def never(training):
        return lambda fit: pytest.fail("went on")

    ((end,),) = stages.complete([described(lr=1e30, then=never)])
    assert end.diverged_at is not None


def test_a_solution_is_a_run_without_steps():
    def run(arm, settings, sample, preset, seed):
        return Solution(lambda: toy.run(arm, settings, sample, preset, seed).model, seed, passes=7)

    of = toy.study(run=run)
    (row,) = runs.perform(of, [RUN])
    assert row["passes"] == 7 and row["curve"] == [] and row["diverged_at"] is None
    assert runs.fingerprint(of, OF.arms[0])["clean"]["losses"] == []
    assert len(runs.fingerprint(of, OF.arms[0])["clean"]["scores"]) == 4


def test_a_solution_that_is_not_finite_has_diverged():
    def solve():
        model = torch.nn.Linear(2, 2)
        torch.nn.init.constant_(model.weight, torch.nan)
        return model

    ((end,),) = stages.complete([Solution(solve, 0)])
    assert end.diverged_at == 0


def test_cells_with_the_same_label_noise_share_their_floor(monkeypatch):
    asked, floor_of = [], compare._floor_of
    monkeypatch.setattr(
        compare, "_floor_of", lambda *of: (asked.append(of[2].name), floor_of(*of))[1]
    )
    clean = toy.study().cells[0]
    of = toy.study(cells=(*toy.study().cells, replace(clean, name="wide", fixed={"width": 9})))
    floor = compare.floor(of, toy.TINY)
    assert len(asked) == 2 * toy.TINY.seeds
    by_cell = floor.groupby("cell")["accuracy"].apply(list)
    assert by_cell["clean"] == by_cell["wide"] != by_cell["noise"]


def test_the_seconds_of_all_stages_are_shared_among_the_ends(monkeypatch):
    fit_all = train.fit_all
    monkeypatch.setattr(
        stages, "fit_all", lambda many: [replace(fit, seconds=3.0) for fit in fit_all(many)]
    )

    def twice(training):
        return lambda fit: [described(seed=1), described(seed=2)]

    (ends,) = stages.complete([described(then=twice)])
    assert [end.seconds for end in ends] == [4.5, 4.5]

"""Runs of several trainings: each may depend on the last fit, and the row counts all of them."""

import itertools
from dataclasses import replace

import pytest
import torch
import toy
from smallnets import Recorded
from toy import CLEAN, SGD

from reviewlib import data, train
from reviewlib.train import Solution, models
from reviewlib.trial.declare import training
from reviewlib.trial.inputs import Inputs
from reviewlib.trial.procedures import complete
from reviewlib.trial.runs import Run, draw, perform

PASSES = toy.TINY.steps * toy.TINY.batch_size
RUN = Run(SGD, CLEAN, toy.study().seeds(toy.TINY)[0], toy.TINY, ({"lr": 0.05},))


def inputs(seed=0, lr=0.05):
    sample = draw(data.load(toy.TINY.data).development, toy.TINY, CLEAN, seed)
    return Inputs(SGD, CLEAN, toy.TINY, {"lr": lr}, sample, seed, toy.net)


def once(run, **changes):
    yield training(run, **changes)


def rewinding(run, **changes):
    """Train, put the first weights back, and train again."""
    first = training(run, **changes)
    start = [parameter.detach().clone() for parameter in first.model.parameters()]
    fit = yield first
    with torch.no_grad():
        for own, value in zip(fit.model.parameters(), start, strict=True):
            own.copy_(value)
    yield replace(first, model=fit.model)


def only(procedure):
    ((end,),) = complete([procedure])
    return end


def test_a_rewound_training_ends_where_the_first_one_did_and_costs_twice():
    first, again = only(once(inputs())), only(rewinding(inputs()))
    torch.testing.assert_close(again.losses, first.losses, rtol=0, atol=0)
    assert (first.passes, again.passes) == (PASSES, 2 * PASSES)
    assert again.seconds > 0


def test_simultaneous_trainings_of_several_runs_are_one_stack():
    loss = Recorded()
    together = complete(
        [*(rewinding(inputs(seed), loss=loss) for seed in (0, 1, 2)), once(inputs(3), loss=loss)]
    )
    sizes = [len(y) for _, y in loss.batches]
    assert sizes == [4] * toy.TINY.steps + [3] * toy.TINY.steps
    for seed, (end,) in enumerate(together[:3]):
        solo = only(rewinding(inputs(seed)))
        torch.testing.assert_close(end.losses, solo.losses, rtol=1e-4, atol=1e-5)


def test_runs_continue_after_a_ragged_batch():
    loss, nets = Recorded(), []
    for seed, width in itertools.product((0, 1), (2, 7, 3)):
        run = inputs(seed)
        nets.append((run, run.initialized(lambda run=run, width=width: of_width(run, width))))
    ends = complete([rewinding(run, model=net, loss=loss) for run, net in nets])
    assert loss.together == {6}
    assert [end.passes for (end,) in ends] == [2 * PASSES] * 6


def of_width(run, width):
    return models.mlp(run.sample.train, run.sample.classes, width)


def test_replicates_are_scored_by_their_mean():
    lrs = (0.01, 0.05, 0.09)

    def three(run):
        yield training(run)
        yield [training(run, lr=lr, eval_steps=(2, 4)) for lr in lrs]

    def row_of(train):
        (row,) = perform(toy.study(), [replace(RUN, arm=replace(SGD, train=train))])
        return row

    row = row_of(three)
    alone = [row_of(lambda run, lr=lr: once(run, lr=lr, eval_steps=(2, 4))) for lr in lrs]
    for metric, (value,) in row["scores"].items():
        mean = sum(one["scores"][metric][0] for one in alone) / 3
        assert value == pytest.approx(mean, abs=1e-5)
    assert row["best"]["train_accuracy"] == pytest.approx(
        sum(one["best"]["train_accuracy"] for one in alone) / 3, abs=1e-6
    )
    assert row["diverged_at"] == [None]
    assert row["passes"] == round(PASSES + sum(one["passes"] for one in alone) / 3)


def test_a_trial_has_diverged_if_one_of_its_replicates_has():
    def three(run):
        yield training(run)
        yield [training(run, lr=lr) for lr in (0.01, 1e30, 0.05)]

    (row,) = perform(toy.study(), [replace(RUN, arm=replace(SGD, train=three))])
    assert row["diverged_at"] != [None] and row["scores"]["validation_accuracy"] == [0.1]


def test_a_procedure_receives_a_fit_or_a_list_of_fits_as_it_yielded():
    came = []

    def asking(run):
        came.append((yield training(run)))
        came.append((yield [training(run), training(run)]))
        came.append((yield [training(run)]))

    (ends,) = complete([asking(inputs())])
    assert isinstance(came[0], train.Fit)
    assert [len(fits) for fits in came[1:]] == [2, 1] and len(ends) == 1
    assert ends[0].passes == 3 * PASSES  # of the pair, each replicate counts its own


def test_a_run_ends_where_it_diverges():
    def hopeful(run):
        yield training(run)
        pytest.fail("went on")

    assert only(hopeful(inputs(lr=1e30))).diverged_at is not None


def test_a_solution_is_a_run_without_steps():
    def solved(run):
        yield Solution(run.net, passes=7)

    (row,) = perform(toy.study(), [replace(RUN, arm=replace(SGD, train=solved))])
    assert row["passes"] == 7 and row["curve"] == [] and row["diverged_at"] == [None]


def test_a_solution_may_follow_a_training_and_adds_to_its_passes():
    def solved(run):
        fit = yield training(run)
        yield Solution(lambda: fit.model, passes=7)

    assert only(solved(inputs())).passes == PASSES + 7


def test_a_solution_that_is_not_finite_has_diverged():
    def solve():
        model = torch.nn.Linear(2, 2)
        torch.nn.init.constant_(model.weight, torch.nan)
        return model

    assert only(iter([Solution(solve)])).diverged_at == 0


def test_the_seconds_of_all_trainings_are_shared_among_the_last(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr("time.process_time", lambda: next(clock))  # a solution takes a second

    def solved(run):
        yield Solution(run.net)
        yield [Solution(run.net), Solution(run.net)]

    (ends,) = complete([solved(inputs())])
    assert [end.seconds for end in ends] == [1.5, 1.5]


def test_an_arm_that_returns_its_trainings_is_told_to_yield_them():
    for train_, made in ((training, "Training"), (lambda run: [training(run)], "list")):
        run = replace(RUN, arm=replace(SGD, train=train_))
        with pytest.raises(ValueError, match=f"arm sgd must yield .* returned a {made}: write `yi"):
            perform(toy.study(), [run])


def test_an_arm_that_trains_nothing_is_named_a_mistake():
    with pytest.raises(ValueError, match="must yield a training or a solution"):
        complete([iter(())])

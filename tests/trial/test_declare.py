"""What a study.py declares: trainings, presets, claims and controls, with shared defaults."""

from dataclasses import replace

import pytest
import torch
import toy
from smallnets import numbers
from toy import AGAIN, ARMS, CLAIM, CLEAN, NOISE, PART, SGD, SLOW

from reviewlib import data, train
from reviewlib.trial import declare
from reviewlib.trial.arms import Arm
from reviewlib.trial.claims import NOTHING, Reported
from reviewlib.trial.contrast import two_by_two
from reviewlib.trial.declare import gain, no_loss, out_of_scope, presets, standard_controls
from reviewlib.trial.inputs import Inputs
from reviewlib.trial.runs import draw


def inputs(preset=toy.TINY, arm=SGD, **settings):
    sample = draw(data.load(preset.data).development, preset, CLEAN, 3)
    return Inputs(arm, CLEAN, preset, {"lr": 0.05} | settings, sample, 3, toy.net)


# Trainings


def test_a_training_gets_the_settings_and_sizes_of_its_run():
    run = inputs(replace(toy.TINY, steps=40), weight_decay=0.01)
    made = declare.training(run)
    assert (made.config.steps, made.config.batch_size) == (40, 20)
    assert (made.config.lr, made.config.weight_decay) == (0.05, 0.01)
    assert made.config.eval_steps == (4, 8, 12, 16, 20, 24, 28, 32, 36, 40)
    assert made.train is run.sample.train and made.validation is run.sample.validation
    assert (made.seed, made.loss, made.optimizer) == (3, train.cross_entropy, train.sgd)
    assert torch.equal(numbers(made.model), numbers(run.net()))


def test_the_default_weight_decay_is_0_and_a_short_training_is_scored_at_every_step():
    made = declare.training(inputs())
    assert made.config.weight_decay == 0 and set(made.config.eval_steps) == {1, 2, 3, 4}


def test_evaluations_cover_all_the_steps_of_an_arm():
    made = declare.training(inputs(arm=replace(SGD, step_multiple=10)))
    assert made.config.steps == 40 and made.config.eval_steps[-1] == 40


def test_given_options_override_those_of_the_run():
    run = inputs(weight_decay=0.01)
    model, part = torch.nn.Linear(2, 2), run.sample.train.take(range(30))
    said = {"steps": 20, "batch_size": 10, "lr": 0.2, "weight_decay": 0.3, "momentum": 0.5}
    loss, optimizer = object(), object()
    made = declare.training(
        run, model=model, train=part, loss=loss, optimizer=optimizer, schedule="constant", **said
    )
    assert made.model is model and made.train is part
    assert made.loss is loss and made.optimizer is optimizer
    assert {name: getattr(made.config, name) for name in said} == said
    assert made.config.schedule == "constant" and made.config.eval_steps == tuple(range(2, 21, 2))
    assert declare.training(run, eval_steps=(3,)).config.eval_steps == (3,)


def test_an_intermediate_training_has_its_own_order_and_is_not_scored():
    run = inputs()
    made = declare.training(run, order=77)
    assert made.seed == 77 and made.config.eval_steps == ()
    assert torch.equal(numbers(made.model), numbers(run.net()))


def test_a_run_without_a_learning_rate_must_be_given_one():
    run = replace(inputs(), settings={})
    with pytest.raises(ValueError, match="has no setting 'lr'"):
        declare.training(run)
    assert declare.training(run, lr=0.3).config.lr == 0.3


# Presets

OWN = {"train": 1000, "validation": 500, "batch_size": 100, "steps": 150}


def test_presets_add_a_studys_own_sizes_to_the_shared_ones():
    quick, laptop, gpu = presets(
        quick=OWN | {"conditions": (CLEAN,)},
        laptop=OWN | {"seeds": 20, "trials": 16},
        gpu={"batch_size": 500, "steps": 3000, "seeds": 20},
    )
    assert [preset.name for preset in (quick, laptop, gpu)] == ["quick", "laptop", "gpu"]
    assert (quick.data, quick.image_size, quick.seeds) == ("fashion-mnist-subset", 14, 3)
    assert quick.settings_from == "laptop" and quick.conditions == ("clean",)
    assert (laptop.trials, laptop.tries, laptop.seeds, laptop.settings_from) == (16, 8, 20, None)
    assert (gpu.image_size, gpu.train, gpu.batch_size) == (28, 10_000, 500)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"gpo": OWN}, r"presets must be called quick, laptop, gpu, got \['gpo'\]"),
        ({"laptop": {"steps": 5}}, r"preset laptop needs the sizes \['batch_size', 'train', 'v"),
        ({"gpu": OWN | {"seed": 20}}, r"preset gpu needs the sizes \['seeds'\]"),
        ({"laptop": OWN | {"seeds": 9, "seed": 9}}, r"preset laptop has no sizes \['seed'\]"),
    ],
)
def test_a_preset_with_another_name_or_other_sizes_is_named(own, message):
    with pytest.raises(ValueError, match=message):
        presets(quick=OWN, **own)


# Claims


def worded(*claims, **changes):
    return [claim.statement for claim in toy.study(claims=claims, **changes).claims]


def test_a_claim_without_a_statement_is_worded_from_labels():
    mirror, both = (
        replace(SGD, name=name, label=name.title(), role="combination")
        for name in ("mirror", "both")
    )
    of_four = two_by_two(SGD, SLOW, mirror, both, NOISE)
    claims = (
        gain("arms", (SLOW - SGD) @ CLEAN),
        gain("turned", -1 * SGD @ CLEAN + SLOW @ CLEAN),
        gain("conditions", SLOW @ NOISE - SLOW @ CLEAN),
        gain("interaction", of_four["interaction"]),
        gain("said", (SLOW - SGD) @ CLEAN, "It is better."),
    )
    assert worded(*claims, arms=(*ARMS, mirror, both)) == [
        "Half the momentum against SGD, clean labels.",
        "Half the momentum against SGD, clean labels.",
        "Half the momentum (wrong labels) against Half the momentum (clean labels).",
        "Both: interaction, wrong labels.",
        "It is better.",
    ]


@pytest.mark.parametrize(
    "claim",
    [
        gain("odd", (SLOW - 0.5 * SGD - 0.5 * SLOW) @ CLEAN),
        gain("odd", two_by_two(SGD, SLOW, SGD, SLOW, CLEAN)["first"]),
        out_of_scope("odd", "", "Table 1", "too large"),
    ],
    ids=["three terms", "a main effect", "out of scope"],
)
def test_a_claim_that_cannot_be_worded_needs_a_statement(claim):
    with pytest.raises(ValueError, match="claim odd needs a statement of what it compares"):
        toy.study(claims=(claim,))
    assert worded(replace(claim, statement="It is.")) == ["It is."]


def test_a_worded_statement_names_a_metric_other_than_accuracy():
    measured = gain("odd", (toy.SLOW - toy.SGD) @ toy.CLEAN, metric="corrupted_nll")
    (text,) = worded(measured)
    assert text == "Half the momentum against SGD, clean labels, by corrupted nll."


def test_each_function_returns_a_claim_of_its_kind():
    better, worse = (SLOW - SGD) @ CLEAN, (SGD - SLOW) @ NOISE
    made = gain("g", better, primary=True, metric="nll", better="lower", margin=0.1)
    assert (made.kind, made.where, made.primary) == ("gain", "our question", True)
    assert (made.contrast, made.measure) == (better, ("nll", "difference"))
    kept = no_loss("n", better, "Kept.", "Table 2", control=worse, primary=True)
    assert (kept.kind, kept.control, kept.contrast) == ("no loss", worse, better)
    far = out_of_scope("f", "Far.", "Table 3", "too large", (Reported("2%", "Table 3", 1, True),))
    assert (far.kind, far.why, far.contrast) == ("out of scope", "too large", NOTHING)
    assert far.reported[0].text == "2%" and not far.primary


# Controls


def test_the_standard_controls_repeat_the_baseline_with_other_seeds_and_fewer_images():
    again, quarter = standard_controls(SGD, (CLEAN,))
    assert (again.name, again.search_seed, again.train_fraction) == ("sgd_again", 1, 1)
    assert (quarter.name, quarter.search_seed, quarter.train_fraction) == ("sgd_quarter", 0, 0.25)
    assert (again.search, again.parent) == (SGD.search, "")
    assert (quarter.search, quarter.parent) == ((), "sgd")  # at the baseline's own settings
    for control in (again, quarter):
        assert control.role == "control" and control.conditions == ("clean",)
        assert (control.train, control.fixed) == (SGD.train, SGD.fixed)
        assert control.label.startswith("SGD, ")


def test_controls_are_run_in_the_baselines_conditions_by_default():
    for conditions in ((), (NOISE,)):
        baseline = replace(SGD, conditions=conditions)
        assert {control.conditions for control in standard_controls(baseline)} == {
            baseline.conditions
        }


def test_a_study_with_the_standard_controls_judges_them():
    study = toy.study(arms=(*ARMS, *standard_controls(SGD, (CLEAN,))))
    assert {claim.name: claim.statement for claim in study.controls} == {
        "a_a-clean": "SGD against itself, tuned again, clean labels.",
        "positive-clean": "SGD with all of its images against a quarter of them, clean labels.",
    }


def test_a_control_with_half_the_images_says_so():
    (_, positive) = toy.study(arms=(*ARMS, AGAIN, PART), claims=(CLAIM,)).controls
    assert positive.statement == "SGD with all of its images against 50% of them, wrong labels."


def test_the_fields_of_an_arm_after_its_label_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        Arm("sgd", "SGD", "baseline", ("lr",), "swapped with train in silence", toy.trained)

"""What SliceOut's study declares: forms of nets, their steps and scores, and its timings."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reviewlib import data, papers
from reviewlib.evidence import timings
from reviewlib.papers.sliceout import SliceOut
from reviewlib.papers.sliceout.arms import ALIGN, KEEPS, OF_DENSE, OF_NARROW
from reviewlib.papers.sliceout.scores import PASSES, scores
from reviewlib.papers.sliceout.sliced import Sliced
from reviewlib.papers.sliceout.timings import OWN, TIMINGS, TRAINED
from reviewlib.papers.sliceout.variants import RandomUnits
from reviewlib.train.timing import activation_bytes
from reviewlib.trial.fingerprints import TINY
from reviewlib.trial.runs import Run, draw
from reviewlib.trial.timings import training_of

STUDY = papers.find("sliceout")
SEED = STUDY.seeds(TINY)[0]
SIZES = replace(TINY, train=60, steps=100)
KEEP = 0.45  # not a multiple of the alignment: 230.4 of 512 units


def first_of(name, keep=KEEP):
    """The training of an arm at a keep rate, in its first condition."""
    arm = STUDY.arm(name)
    (where, *_) = (each for each in STUDY.conditions if arm in STUDY.arms_in(each))
    sample = draw(data.load(SIZES.data).development, SIZES, where, SEED)
    trial = {"lr": 0.1, "weight_decay": 0.001, "keep": keep}
    run = Run(arm, where, SEED, SIZES, ({name: trial[name] for name in arm.search},))
    return next(run.procedure(STUDY, sample, 0))


def widths(model):
    return [layer.out_features for layer in model.modules() if isinstance(layer, nn.Linear)]


def module(model, kind):
    (found,) = (each for each in model.modules() if type(each) is kind)
    return found


@pytest.mark.parametrize("name", ["dense", "dropout", "sliceout", "random_units", "half_plain"])
def test_every_form_of_the_net_starts_from_the_same_weights(name):
    values = [p.detach() for p in first_of(name).model.parameters()]
    for one, other in zip(values, first_of("dense").model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert widths(first_of(name).model) == [512, 512, 10]


def test_a_narrow_net_has_the_width_of_a_slice():
    chain = module(first_of("sliceout").model, SliceOut)
    _, width, _ = chain.grid(chain[0])
    assert width == 232  # 29 times 8
    assert widths(first_of("narrow").model) == [width, width, 10]
    assert widths(first_of("half_narrow").model) == [256, 256, 10]
    assert widths(first_of("sixteenth").model) == [32, 32, 10]


def test_a_keep_rate_is_one_minus_the_rate_of_dropout():
    drops = [m.p for m in first_of("dropout", keep=0.7).model.modules() if type(m) is nn.Dropout]
    assert drops == pytest.approx([0.3, 0.3])
    halves = [m.p for m in first_of("half_dropout").model.modules() if type(m) is nn.Dropout]
    assert halves == [0.5, 0.5]


@pytest.mark.parametrize(
    ("name", "kind", "leaves", "align", "normalization"),
    [
        ("sliceout", SliceOut, True, ALIGN, "flow"),
        ("random_units", RandomUnits, True, ALIGN, "flow"),
        ("half_flow", SliceOut, True, ALIGN, "flow"),
        ("half_plain", SliceOut, False, ALIGN, "flow"),
        ("half_probabilistic", SliceOut, True, ALIGN, "probabilistic"),
        ("half_partition", SliceOut, True, ALIGN, "partition"),
        ("half_none", SliceOut, True, ALIGN, "none"),
        ("half_unaligned", SliceOut, True, 1, "flow"),
        ("half_coarse", SliceOut, True, 64, "flow"),
        ("half_random", RandomUnits, False, ALIGN, "flow"),
    ],
)
def test_an_arm_differs_from_sliceout_in_what_it_says(name, kind, leaves, align, normalization):
    training = first_of(name)
    chain = module(training.model, kind)
    assert (chain.leaves, chain.align, chain.normalization) == (leaves, align, normalization)
    assert chain.keep == (0.5 if name.startswith("half") else KEEP)
    optimizer = training.optimizer(training.model, training.config)
    assert isinstance(optimizer, Sliced) == leaves
    (group,) = optimizer.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 0.001)


@pytest.mark.parametrize(
    ("keep", "steps"), [*zip(KEEPS, [100 * each for each in OF_NARROW], strict=True)]
)
def test_the_narrow_net_in_equal_time_takes_the_steps_of_its_own_width(keep, steps):
    assert first_of("narrow_at_time", keep).config.steps == round(steps)
    assert first_of("narrow", keep).config.steps == first_of("sliceout", keep).config.steps == 100


def test_between_the_keep_rates_that_were_timed_steps_are_interpolated():
    between = first_of("narrow_at_time", 0.6).config.steps
    assert between == round(100 * np.interp(0.6, KEEPS, OF_NARROW))
    assert first_of("narrow_at_time", 0.9).config.steps == round(100 * OF_NARROW[-1])


def test_the_dense_net_in_equal_time_takes_one_share_of_the_steps():
    assert first_of("dense_at_time").config.steps == round(100 * OF_DENSE)


def test_every_timing_is_of_the_net_that_it_names():
    kinds = {}
    for where in TIMINGS:
        model = training_of(STUDY, STUDY.arm("sliceout"), where, "cpu").model
        chain = module(model, SliceOut)
        assert chain.keep == where.fixed["keep"]
        hidden = [layer for layer in chain if isinstance(layer, nn.Linear | nn.Conv2d)][:-1]
        name = where.name.rpartition("_")[0]
        kinds[name] = [(type(each), len(each.weight)) for each in hidden]
        images = training_of(STUDY, STUDY.arm("sliceout"), where, "cpu").train.images
        assert model.eval()(images / 255).shape == (where.batch_size, 10)
    assert kinds == {
        "own": [(nn.Linear, 512)] * 2,
        "mlp_1024": [(nn.Linear, 1024)] * 2,
        "mlp_2048": [(nn.Linear, 2048)] * 2,
        "convolution": [(nn.Conv2d, 128)],
        "feed_forward": [(nn.Linear, 1024)],
        "trained": [(nn.Linear, 512)] * 2,
    }


def test_the_chapters_own_net_is_timed_at_the_sizes_of_its_records():
    sizes = STUDY.preset("laptop")
    for keep, where in (*OWN.items(), *TRAINED.items()):
        assert (where.image_size, where.batch_size) == (sizes.image_size, sizes.batch_size)
        assert (where.fixed["units"], where.fixed["keep"]) == (512, keep)


@pytest.fixture(scope="module")
def recorded():
    return timings.load("sliceout", "laptop")


def test_the_recorded_bytes_are_those_of_todays_code(recorded):
    table = recorded.table.groupby(["condition", "arm"])["activation_bytes"]
    assert (table.nunique() == 1).all()  # in every launch
    for where in (each for each in TIMINGS if each.name.endswith("_50")):
        for arm in STUDY.arms_in(where):
            now = activation_bytes(training_of(STUDY, arm, where, "cpu"))
            assert table.first()[where.name, arm.name] == now, (where.name, arm.name)


def test_equal_time_lies_within_15_percent_in_the_recorded_timings(recorded):
    seconds = recorded.table.groupby(["condition", "arm"])["step_seconds"].mean()
    for keep, where in TRAINED.items():
        of, more = seconds[where.name], np.interp(keep, KEEPS, OF_NARROW)
        assert 1 / 1.15 <= more * of["narrow"] / of["sliceout"] <= 1.15, keep


@pytest.fixture
def fold():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (50, 1, 14, 14), dtype=torch.uint8, generator=generator)
    return data.Split(images, torch.randint(10, (50,), generator=generator))


def test_a_net_without_slices_is_all_of_its_parts(fold):
    model = first_of("dense").model.eval()
    found = scores(model, fold, None)
    accuracy = (model(fold.pixels()).argmax(-1) == fold.labels).double().mean().item()
    assert found["single_accuracy"] == found["ensemble_accuracy"] == pytest.approx(accuracy)
    nll = F.cross_entropy(model(fold.pixels()), fold.labels).item()
    assert found["ensemble_nll"] == pytest.approx(nll, rel=1e-5)


@pytest.mark.parametrize("name", ["sliceout", "dropout", "random_units"])
def test_single_passes_are_those_of_training_and_their_probabilities_are_averaged(name, fold):
    model = first_of(name).model
    state = torch.get_rng_state()
    found = scores(model, fold, None)
    assert torch.equal(torch.get_rng_state(), state)  # scoring moves no stream
    assert not model.training
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        passes = torch.stack([model.train()(fold.pixels()) for _ in range(PASSES)])
    right = (passes.argmax(-1) == fold.labels).double().mean(-1)
    assert found["single_accuracy"] == pytest.approx(right.mean().item())
    together = passes.softmax(-1).mean(0)
    assert found["ensemble_nll"] == pytest.approx(
        F.nll_loss(together.log(), fold.labels).item(), rel=1e-4
    )
    accuracy = (together.argmax(-1) == fold.labels).double().mean().item()
    assert found["ensemble_accuracy"] == pytest.approx(accuracy)
    assert found == scores(model, fold, None)  # drawn anew, and alike

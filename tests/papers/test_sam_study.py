"""What SAM's study declares: nets, images and controls of its conditions."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from reviewlib import data, papers
from reviewlib.evidence.results import conditions_of
from reviewlib.evidence.validity import EVIDENCE
from reviewlib.papers.sam.arms import CLEAN, CNN, NOISE
from reviewlib.trial.controls import is_a_a
from reviewlib.trial.fingerprints import TINY
from reviewlib.trial.runs import Run, draw

STUDY = papers.find("sam")
SEED = STUDY.seeds(TINY)[0]


def first_of(arm, condition):
    """The first training of an arm in a condition, and the training images of its run."""
    preset = replace(TINY, train=60, steps=2)
    sample = draw(data.load(preset.data).development, preset, condition, SEED)
    arm = STUDY.arm(arm)
    trial = {each.name: each.at(0.5) for each in STUDY.hyperparameters if each.name in arm.search}
    run = Run(arm, condition, SEED, preset, (trial,))
    return next(run.procedure(STUDY, sample, 0)), sample.train


def arms_in(condition):
    return [arm.name for arm in STUDY.arms_in(condition) if arm.train_fraction == 1]


@pytest.mark.parametrize("arm", arms_in(CNN))
def test_a_convolutional_net_also_gets_the_mirror_images(arm):
    training, given = first_of(arm, CNN)
    images, labels = training.train.images, training.train.labels
    assert torch.equal(images[:60], given.images)
    assert torch.equal(images[60:], given.images[..., list(reversed(range(14)))])
    assert torch.equal(labels, torch.cat([given.labels, given.labels]))
    assert training.config.steps == 2 * STUDY.arm(arm).step_multiple  # more images, no more steps


@pytest.mark.parametrize("arm", arms_in(CLEAN))
def test_a_dense_net_gets_the_images_as_they_are(arm):
    training, given = first_of(arm, CLEAN)
    assert torch.equal(training.train.images, given.images)
    assert torch.equal(training.train.labels, given.labels)


def test_only_the_convolutional_net_has_batchnorm():
    kinds = {
        condition.name: [type(layer) for layer in first_of("sam", condition)[0].model.modules()]
        for condition in (CLEAN, NOISE, CNN)
    }
    assert [kinds["cnn"].count(kind) for kind in (nn.Conv2d, nn.BatchNorm2d)] == [3, 3]
    assert kinds["clean"] == kinds["noise"]
    assert not {nn.Conv2d, nn.BatchNorm2d} & set(kinds["clean"])


@pytest.mark.parametrize("preset", EVIDENCE)
def test_every_condition_with_a_primary_claim_has_an_a_a_control(preset):
    sizes = STUDY.preset(preset)
    run = {
        (arm.name, condition.name)
        for condition in STUDY.conditions_of(sizes)
        for arm in STUDY.arms_in(condition, sizes)
    }
    held = [claim for claim in STUDY.controls if is_a_a(claim)]
    held = [claim for claim in held if {term[1:] for term in claim.contrast} <= run]
    asked = set().union(*map(conditions_of, STUDY.primary))
    assert asked == {"clean", "noise", "cnn"}
    assert asked <= set().union(*map(conditions_of, held))

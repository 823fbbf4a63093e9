from functools import partial

import matplotlib.pyplot as plt
import pytest
import torch
import vision
from torch import nn
from torch.nn import functional as F

from reviewlib import data, papers
from reviewlib.data.corruptions import CIFAR_C, MNIST_C, benchmark, severity_of
from reviewlib.papers.augmix import method
from reviewlib.papers.augmix.figures import pictures
from reviewlib.papers.augmix.scores import GROUPS, logits_of, scores, under_corruption
from reviewlib.train.calibration import BINS, calibration_errors, temperature
from reviewlib.trial.declare import Sample

SUBSET = data.load("fashion-mnist-subset").development
FOLD = data.Split(SUBSET.validation.images[500:700], SUBSET.validation.labels[500:700])
SAMPLE = Sample(
    SUBSET.train, data.Split(SUBSET.validation.images[:500], SUBSET.validation.labels[:500]), 10
)


def sure(n=3000, factor=1.0, seed=0):
    """Logits (n, 10) whose softmax is the true probability of each class, times a factor."""
    g = torch.Generator().manual_seed(seed)
    logits = 2.5 * torch.randn(n, 10, generator=g)
    u = torch.rand(n, 1, generator=g)
    labels = (logits.softmax(-1).cumsum(-1) < u).sum(-1).clamp(max=9)
    return factor * logits, labels


# A confidence of exactly 1 would have a bin of its own in torchmetrics.
@pytest.mark.parametrize("factor", [0.3, 1.0, 1.4])
def test_the_errors_are_those_of_torchmetrics(factor):
    functional = vision.module("torchmetrics.functional.classification")
    logits, labels = sure(factor=factor)
    found = calibration_errors(logits, labels)
    for name, norm in (("expected", "l1"), ("rms", "l2")):
        theirs = functional.multiclass_calibration_error(
            logits.double().softmax(-1), labels, 10, n_bins=BINS, norm=norm
        )
        assert found[f"{name}_calibration_error"] == pytest.approx(
            theirs.item(), abs=1e-5
        )  # in single precision


def test_the_adaptive_error_is_the_mean_gap_of_equally_full_bins():
    logits, labels = sure(n=300)
    confidence, predicted = logits.double().softmax(-1).max(-1)
    gaps = [
        (confidence[part].mean() - (predicted[part] == labels[part]).double().mean()).abs()
        for part in confidence.argsort().chunk(BINS)
    ]
    found = calibration_errors(logits, labels)["adaptive_calibration_error"]
    assert found == pytest.approx(sum(gaps).item() / BINS)


def test_a_calibrated_model_has_small_errors_and_a_bold_one_large_ones():
    good, bold, shy = (calibration_errors(*sure(n=20_000, factor=f)) for f in (1.0, 4.0, 0.2))
    assert max(good.values()) < 0.02
    assert min(bold.values()) > 0.15 and min(shy.values()) > 0.15


def test_errors_of_models_that_are_certain_are_finite():
    logits = 1e4 * F.one_hot(torch.arange(10), 10).float()
    assert calibration_errors(logits, torch.arange(10)) == dict.fromkeys(
        (f"{name}_calibration_error" for name in ("expected", "adaptive", "rms")), 0.0
    )
    wrong = calibration_errors(logits, (torch.arange(10) + 1) % 10)
    assert wrong["rms_calibration_error"] == 1


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_the_temperature_undoes_a_factor(factor):
    logits, labels = sure(n=10_000, factor=factor)
    t = temperature(logits, labels)
    assert t == pytest.approx(factor, rel=0.05)

    def loss(t):
        return F.cross_entropy(logits.double() / t, labels)

    assert loss(t) <= min(loss(0.99 * t), loss(1.01 * t))


class Linear(nn.Module):
    """A fixed linear classifier of the garments, good enough to be hurt by corruption."""

    def __init__(self):
        super().__init__()
        x = SUBSET.train.pixels().flatten(1)
        means = torch.stack([x[SUBSET.train.labels == c].mean(0) for c in range(10)])
        self.weight, self.bias = 2 * means, means.square().sum(1)

    def forward(self, x):
        x = x.flatten(1).float()
        return (x @ self.weight.T - self.bias) / 3


def test_the_scores_are_what_they_are_called():
    model = Linear().train()
    found = scores(model, FOLD, SAMPLE)
    assert model.training
    t = temperature(logits_of(model, SAMPLE.validation), SAMPLE.validation.labels)
    assert found["temperature"] == t
    right, rms, scaled, nll = {}, [], [], []
    for name in (*CIFAR_C, *MNIST_C):
        logits = model(benchmark(FOLD.images, name) / 255)
        right[name] = logits.argmax(1) == FOLD.labels
        assert found[f"{name}_accuracy"] == pytest.approx(right[name].double().mean().item())
        if name in CIFAR_C:
            rms.append(calibration_errors(logits, FOLD.labels)["rms_calibration_error"])
            scaled.append(calibration_errors(logits / t, FOLD.labels)["rms_calibration_error"])
            nll.append(F.cross_entropy(logits, FOLD.labels).item())
    assert found["corrupted_rms_calibration_error"] == pytest.approx(sum(rms) / 15)
    assert found["corrupted_scaled_rms_calibration_error"] == pytest.approx(sum(scaled) / 15)
    assert found["corrupted_nll"] == pytest.approx(sum(nll) / 15, rel=1e-5)
    for group, names in GROUPS.items():
        mean = sum(right[name].double().mean() for name in names) / len(names)
        assert found[f"{group}_accuracy"] == pytest.approx(mean.item())
    for severity in (1, 5):
        parts = [
            right[name][severity_of(200, name) == severity].double().mean() for name in CIFAR_C
        ]
        assert found[f"severity_{severity}_accuracy"] == pytest.approx(sum(parts).item() / 15)
    clean = calibration_errors(model(FOLD.pixels()), FOLD.labels)
    assert found["rms_calibration_error"] == clean["rms_calibration_error"]
    assert found["severity_5_accuracy"] < found["severity_1_accuracy"]


def test_the_groups_split_the_corruptions():
    groups = [set(GROUPS[name]) for name in ("disjoint", "overlapping", "far")]
    assert sum(map(len, groups)) == 19 and set.union(*groups) == {*CIFAR_C, *MNIST_C}
    assert set(GROUPS["corrupted"]) == groups[0] | groups[1]


def test_logits_under_corruption_are_those_that_are_scored():
    logits, labels = under_corruption(Linear(), FOLD)
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    assert accuracy == pytest.approx(scores(Linear(), FOLD, SAMPLE)["corrupted_accuracy"])


def test_a_constant_model_is_scored_too():
    found = scores(model := Constant(), FOLD, SAMPLE)
    assert found["corrupted_accuracy"] == pytest.approx((FOLD.labels == 0).double().mean().item())
    assert model.training


class Constant(nn.Module):
    def forward(self, x):
        return x.new_zeros(len(x), 10)


def test_the_chains_end_in_what_the_net_sees():
    augment = method.AugMix(severity=8.0, generator=torch.Generator().manual_seed(3))
    plan, image = augment.draw(1), FOLD.images[:1]
    shown = list(pictures.chains(augment, plan, image).values())
    assert len(shown) == 3 * 4 + 2
    ends = [torch.from_numpy(picture) for picture in shown[3:12:4]]
    mix = sum(w * end for w, end in zip(plan.w[0], ends, strict=True))
    assert torch.allclose(mix.float(), torch.from_numpy(shown[-2]), atol=1e-3)
    seen = augment.apply(image / 255, plan)[0, 0] * 255
    assert torch.allclose(seen, torch.from_numpy(shown[-1]), atol=1e-3)


def test_the_gallery_shows_every_corruption_and_its_distances():
    drawn = pictures.gallery(FOLD.images[:1])
    assert len(drawn.table) == 19 and list(drawn.table.columns) == ["corruption", 1, 2, 3, 4, 5]
    assert (drawn.table[5] > drawn.table[1]).all()
    plt.close(drawn.fig)


def test_reliability_has_a_line_a_model():
    logits, labels = sure()
    drawn = pictures.reliability({"good": (logits, labels), "bold": (3 * logits, labels)})
    gaps = (
        (drawn.table["confidence, %"] - drawn.table["accuracy, %"])
        .groupby(drawn.table["model"])
        .mean()
    )
    assert abs(gaps["good"]) < 3 < gaps["bold"]
    assert "good" in drawn.alt and "bold" in drawn.alt
    plt.close(drawn.fig)


def test_leaving_out_an_operation_leaves_out_just_that_one():
    study = papers.find("augmix")
    for name in method.OPERATIONS:
        train = study.arm(f"without_{name}").train
        assert isinstance(train, partial)
        assert set(method.OPERATIONS) - set(train.keywords["operations"]) == {name}

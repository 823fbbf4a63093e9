"""Recipes: schedules, the range of fields, initialization and cross-entropy."""

import math

import pytest
import torch
from smallnets import config, numbers
from torch import nn
from torch.nn import functional as F

from reviewlib import train
from reviewlib.train import Config


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [("cosine", [1, 0.8535534, 0.5, 0.1464466]), ("constant", [1, 1, 1, 1])],
)
def test_the_learning_rate_at_pinned_steps(schedule, factors):
    c = Config(steps=4, schedule=schedule)
    assert [c.lr_factor(step) for step in range(4)] == pytest.approx(factors)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps and batch_size must be at least 1, got 0, 10"),
        ({"batch_size": 0}, "steps and batch_size must be at least 1, got 4, 0"),
        ({"lr": -0.1}, "lr must be a finite number >= 0, got -0.1"),
        ({"lr": math.nan}, "lr must be a finite number >= 0, got nan"),
        ({"lr": torch.tensor([0.1, -1])}, "lr must be a finite number >= 0, got .*-1.0"),
        ({"weight_decay": math.inf}, "weight_decay must be a finite number >= 0, got inf"),
        ({"momentum": -1}, "momentum must be a finite number >= 0, got -1"),
        ({"schedule": "linear"}, "schedule must be 'cosine' or 'constant', got 'linear'"),
        ({"eval_steps": (0,)}, r"eval_steps must lie in 1..4, got \(0,\)"),
        ({"eval_steps": (2, 5)}, r"eval_steps must lie in 1..4, got \(2, 5\)"),
    ],
)
def test_a_config_out_of_range_is_rejected(fields, message):
    with pytest.raises(ValueError, match=message):
        config(**fields)


def test_initialization_depends_on_the_seed_alone():
    def drawn(seed):
        return numbers(train.initialized(lambda: nn.Linear(3, 3), seed))

    torch.manual_seed(0)
    first = drawn(1)
    torch.manual_seed(1)
    assert torch.equal(first, drawn(1)) and not torch.equal(first, drawn(2))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_is_torchs_for_one_model_and_for_a_stack(smoothing):
    x, y = torch.randn(2, 5, 4), torch.randint(0, 4, (2, 5))
    expected = torch.stack(
        [F.cross_entropy(own, of, label_smoothing=smoothing) for own, of in zip(x, y, strict=True)]
    )
    net = nn.Identity()
    torch.testing.assert_close(train.cross_entropy(net, x[0], y[0], smoothing), expected[0])
    torch.testing.assert_close(train.cross_entropy(net, x, y, smoothing), expected)
    each = torch.tensor([smoothing, 0.0])
    found = train.cross_entropy(net, x, y, each)
    torch.testing.assert_close(found, torch.stack([expected[0], F.cross_entropy(x[1], y[1])]))

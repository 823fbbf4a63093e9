"""The optimizers against their formulas, worked out by hand."""

import math

import torch
from smallnets import CLASSES, config, linear, numbers, split
from torch import nn
from torch.nn import functional as F

from reviewlib import train
from reviewlib.train.batches import batch_order


def test_sgd_with_momentum_matches_five_lines_by_hand():
    data, c, model = split(), config(7, lr=0.3, weight_decay=0.05), linear()
    x, w = (
        F.pad(data.pixels().flatten(1), (0, 1), value=1.0),
        torch.cat([model[-1].weight.detach(), model[-1].bias.detach()[:, None]], 1),
    )
    v, expected = torch.zeros_like(w), []
    for step, index in enumerate(batch_order(len(data), c, 5)):
        logits, y = x[index] @ w.T, data.labels[index]
        expected.append(-logits.log_softmax(1)[torch.arange(10), y].mean())
        slope = (logits.softmax(1) - F.one_hot(y, CLASSES)).T @ x[index] / 10
        v = 0.9 * v + slope + 0.05 * w
        w = w - 0.3 * (0.5 + 0.5 * math.cos(math.pi * step / 7)) * v
    result = train.fit(model, data, c, seed=5)
    torch.testing.assert_close(result.losses, torch.stack(expected))
    torch.testing.assert_close(model[-1].weight.detach(), w[:, :-1])
    torch.testing.assert_close(model[-1].bias.detach(), w[:, -1])


def test_adam_matches_adam_by_hand():
    data, c, model = split(), config(3, lr=0.01, weight_decay=0.1, schedule="constant"), linear()
    twin = linear()
    w, m, v = numbers(twin), 0.0, 0.0
    for step, index in enumerate(batch_order(len(data), c, 5), 1):
        nn.utils.vector_to_parameters(w, twin.parameters())
        loss = train.cross_entropy(twin, data.pixels()[index], data.labels[index])
        g = torch.cat([s.flatten() for s in torch.autograd.grad(loss, twin.parameters())]) + 0.1 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - 0.01 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    train.fit(model, data, c, seed=5, optimizer=train.adam)
    torch.testing.assert_close(numbers(model), w, rtol=1e-4, atol=1e-5)

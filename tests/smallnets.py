"""Small nets, splits and optimizers for the tests of training, and each training by itself."""

import torch
from torch import nn

from reviewlib import data, train
from reviewlib.data import Split
from reviewlib.train import Config

PIXELS, CLASSES = 2, 3


def split(examples=40, seed=0, classes=CLASSES):
    """Random images with random labels."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (examples, 1, PIXELS, PIXELS), generator=draw, dtype=torch.uint8)
    return Split(images, torch.randint(0, classes, (examples,), generator=draw))


def clothes(seed, label_noise=0.0):
    """400 of the shipped images of clothes, 7 x 7 pixels, some of their labels wrong."""
    everything = data.load("fashion-mnist-subset").development.train
    drawn = data.shrink(data.subset(everything, 400, data.stream(seed, "subset")), 7)
    labels = data.flip_labels(drawn.labels, label_noise, 10, data.stream(seed, "noise"))
    return Split(drawn.images, labels)


def linear(*between):
    """A linear net with fixed weights, with layers of no parameters before the last."""
    net = nn.Sequential(nn.Flatten(), *between, nn.Linear(PIXELS * PIXELS, CLASSES))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.arange(parameter.numel()).view_as(parameter) / 10)
    return net


def numbers(model):
    """All parameters, end to end."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def config(steps=4, **fields):
    return Config(**{"steps": steps, "batch_size": 10} | fields)


class Recorded:
    """A loss that keeps the batches it is given, as (x, y)."""

    def __init__(self):
        self.batches = []

    def __call__(self, model, x, y):
        self.batches.append((x.clone(), y.clone()))
        return train.cross_entropy(model, x, y)

    @property
    def together(self):
        """Of how many models it was asked at once, 0 for one by itself."""
        return {len(y) if y.ndim == 2 else 0 for _, y in self.batches}


class Twice(torch.optim.SGD):
    """Evaluates the batch twice before it steps, and draws a number of its own in between."""

    def step(self, closure):
        first = closure()
        torch.rand(3)
        closure()
        super().step()
        return first


def by(kind, model, config, **fields):
    """An optimizer of that class, as `fit` wants it."""
    made = kind(model.parameters(), lr=config.lr, momentum=config.momentum)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def alone(of):
    """What comes out of a training by itself."""
    how = {"loss": of.loss, "optimizer": of.optimizer, "validation": of.validation}
    return train.fit(of.model, of.train, of.config, seed=of.seed, **how)


def require_solo_results(describe, tolerance=1e-10):
    """Hold what comes out of trainings side by side to what comes out of each by itself.

    `describe` returns the trainings, their models untrained.
    """
    close = {"rtol": tolerance, "atol": tolerance}
    fits = train.fit_all(describe())
    for one, of in zip(fits, describe(), strict=True):
        solo = alone(of)
        assert one.losses.dtype == solo.losses.dtype == next(of.model.parameters()).dtype
        assert (one.passes, one.config) == (solo.passes, solo.config)
        assert one.curve == solo.curve
        torch.testing.assert_close(one.losses, solo.losses, **close)
        models = [(one.model, solo.model)]
        if of.config.eval_steps:
            models.append((one.best, solo.best))
        for mine, theirs in models:
            for name, value in mine.state_dict().items():
                torch.testing.assert_close(value, theirs.state_dict()[name], **close, msg=name)
    return fits

"""Replicas: R nets as one stack against the Python loop over them, side by side in one process.

Both sides go through reviewlib's own loop on one core, with torch's fused SGD where all runs have
the same setting, and with a setting each. The last rows are the trials of a search: those of a seed
have its images, order and initialization, and a setting each; the very last train convolutional
nets with BatchNorm. Ratios are of the minimum process time over interleaved rounds. Exits with 1 if
a ratio is below the bound of its row.
"""

import sys
import time
from functools import partial

import torch
from torch import nn

from reviewlib import train
from reviewlib.data import Split
from reviewlib.train.models import Normalize, batchnorm_cnn

ROUNDS, STEPS, REPLICAS = 5, 60, 30
# side of the images, hidden units, batch size, least ratio: a stack must never lose to the loop
NETS = (
    (8, (32,), 64, 4.0),
    (14, (100,), 64, 2.0),
    (14, (128,), 100, 1.0),
    (14, (300, 100), 64, 1.0),
    (28, (128,), 100, 1.0),
)
# seeds, trials, least ratio: at most 1.76 when every trial had a copy of its batch, now 2.06 to 2.2
SEARCHES = ((1, 8, 1.9), (2, 16, 1.9))
# side, channels, least ratio, measured 1.85 to 2.3, 1.2 to 1.8, 0.95 to 1.1: a stack's activations
# leave the caches that those of one larger net fit into
CONVOLUTIONS = ((14, 8, 1.8), (28, 8, 1.1), (28, 16, 0.8))


def images(side, seed):
    g = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (1000, 1, side, side), generator=g, dtype=torch.uint8)
    return Split(pixels, torch.randint(0, 10, (1000,), generator=g))


def net(split, widths):
    layers, inputs = [Normalize(split), nn.Flatten(-3)], split.images[0].numel()
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, 10))


def convolutional(split, channels):
    return batchnorm_cnn(split, 10, channels)


def trainings(seeds, side, make, batch_size, lrs, decays):
    splits = {seed: images(side, seed) for seed in seeds}
    return [
        train.Training(
            train.initialized(partial(make, splits[seed]), seed),
            splits[seed],
            train.Config(steps=STEPS, batch_size=batch_size, lr=lr, weight_decay=weight_decay),
            seed,
            train.cross_entropy,
            train.sgd,
        )
        for seed, lr, weight_decay in zip(seeds, lrs, decays, strict=True)
    ]


def search(seeds, trials, side, make):
    of = [seed for _ in range(trials) for seed in range(seeds)]
    lrs, decays = ([scale * (1 + i) for i in range(len(of))] for scale in (0.005, 1e-4))
    return trainings(of, side, make, 100, lrs, decays)


def loop(described):
    for training in described:
        train.fit_all([training])


def measured(work, described):
    start = time.process_time()
    work(described)
    return time.process_time() - start


def compared(what, least, make):
    """Print one row; return whether its ratio is below the bound."""
    best = {"loop": float("inf"), "stack": float("inf")}
    for _ in range(ROUNDS):
        for name, work in (("loop", loop), ("stack", train.fit_all)):
            best[name] = min(best[name], measured(work, make()) / STEPS * 1000)
    ratio = best["loop"] / best["stack"]
    verdict = f", OUT OF BOUNDS: < {least}" if ratio < least else ""
    print(
        f"| {what} | {best['loop']:.1f} | {best['stack']:.1f} | {ratio:.2f}{verdict} |", flush=True
    )
    return ratio < least


def main():
    torch.set_num_threads(1)
    slow = []
    print(f"{STEPS} steps; times are ms a step of all replicas together")
    print("| replicas | net | batch | settings | loop | stack | loop / stack |")
    print("|---|---|---|---|---|---|---|")
    for side, widths, batch_size, least in NETS:
        sizes = "-".join(map(str, (side * side, *widths, 10)))
        for settings, lrs in (
            ("one", [0.05] * REPLICAS),
            ("one each", [0.01 * (1 + i) for i in range(REPLICAS)]),
        ):
            make = partial(
                trainings,
                range(REPLICAS),
                side,
                partial(net, widths=widths),
                batch_size,
                lrs,
                [1e-3] * REPLICAS,
            )
            what = f"{REPLICAS} | {sizes} | {batch_size} | {settings}"
            slow.append(compared(what, least, make))
    mlp = partial(net, widths=(128,))
    for seeds, trials, least in SEARCHES:
        what = f"{trials} trials of {seeds} | 196-128-10 | 100 | one each"
        slow.append(compared(what, least, partial(search, seeds, trials, 14, mlp)))
    for side, channels, least in CONVOLUTIONS:
        sizes = f"{channels}-{2 * channels}-{2 * channels} at {side} x {side}"
        what = f"8 trials of 1 | {sizes} | 100 | one each"
        make = partial(convolutional, channels=channels)
        slow.append(compared(what, least, partial(search, 1, 8, side, make)))
    sys.exit(any(slow))


if __name__ == "__main__":
    main()

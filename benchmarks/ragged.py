"""The ragged batch: 12 widths of a seed as one model against the Python loop over them.

Both sides go through reviewlib's own loop on one core, with torch's fused Adam. Ratios are of the
minimum process time over interleaved rounds. Exits with 1 if a ratio is below 3.
"""

import sys
from functools import partial

import torch
from replicas import images, loop, measured

from reviewlib import train

ROUNDS, STEPS, LEAST = 5, 60, 3.0
WIDTHS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)


def trainings(splits):
    return [
        train.Training(
            train.initialized(partial(train.models.mlp, split, 10, width), seed),
            split,
            train.Config(steps=STEPS, batch_size=100, lr=3e-3, schedule="constant"),
            seed,
            train.cross_entropy,
            train.adam,
        )
        for seed, split in enumerate(splits)
        for width in WIDTHS
    ]


def main():
    torch.set_num_threads(1)
    slow = []
    print(f"{len(WIDTHS)} widths, {STEPS} steps; times are ms a step of all nets together")
    print("| inputs | seeds | loop | ragged | loop / ragged |\n|---|---|---|---|---|")
    for side in (8, 14):
        for seeds in (1, 5, 10):
            make = partial(trainings, [images(side, seed) for seed in range(seeds)])
            best = {"loop": float("inf"), "ragged": float("inf")}
            for _ in range(ROUNDS):
                for name, work in (("loop", loop), ("ragged", train.fit_all)):
                    best[name] = min(best[name], measured(work, make()) / STEPS * 1000)
            ratio = best["loop"] / best["ragged"]
            slow.append(ratio < LEAST)
            print(
                f"| {side * side} | {seeds} | {best['loop']:.1f} | {best['ragged']:.1f} "
                f"| {ratio:.2f}{f', OUT OF BOUNDS: < {LEAST}' * slow[-1]} |"
            )
    sys.exit(any(slow))


if __name__ == "__main__":
    main()

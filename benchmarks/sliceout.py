"""Times a SliceOut step against the dense net, torch's dropout, plain slicing and a narrow net.

Everything runs in one process on one thread, in interleaved rounds; a time is the minimum over the
rounds of this process's CPU time. The bytes are those that a forward pass saves for the backward
pass, without parameters and inputs. Exits with 1 if a perceptron of 1,024 units, half of them kept,
is above a bound.

    python benchmarks/sliceout.py
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from reviewlib.papers.sliceout import Sliced, SliceOut
from reviewlib.papers.sliceout.variants import RandomUnits
from reviewlib.train.timing import saved_bytes, seconds

INPUTS, CLASSES, BATCH = 784, 10, 128
WIDTHS, KEEPS = (512, 1024, 2048), (0.75, 0.5, 0.25)
BOUNDED, LAYOUTS = (1024, 0.5), 5  # memory is laid out anew a few times
OPTIONS = {"lr": 1e-6, "momentum": 0.9}  # so slow that every round meets the same weights
OF_DENSE, OF_NARROW, OF_BYTES = 0.45, 1.15, 0.51


def layers(units: int) -> list[nn.Module]:
    """Return the layers of a perceptron with two hidden layers."""
    hidden = [nn.Linear(INPUTS, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU()]
    return [*hidden, nn.Linear(units, CLASSES)]


def dropping(units: int, keep: float) -> nn.Module:
    """Return the perceptron with torch's dropout after each activation."""
    one, relu, two, _, three = layers(units)
    drop = nn.Dropout(1 - keep)
    return nn.Sequential(one, relu, drop, two, relu, drop, three)


def forms(units: int, keep: float) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
    """Return each contestant with its optimizer."""
    whole = partial(torch.optim.SGD, fused=True, **OPTIONS)
    nets = {
        "dense": nn.Sequential(*layers(units)),
        "dropout": dropping(units, keep),
        "plain": SliceOut(*layers(units), keep=keep),
        "random, plain": RandomUnits(*layers(units), keep=keep),
        "narrow": nn.Sequential(*layers(round(units * keep))),
    }
    found = {name: (net, whole(net.parameters())) for name, net in nets.items()}
    leaves = SliceOut(*layers(units), keep=keep, leaves=True)
    return found | {"leaves": (leaves, Sliced(leaves, torch.optim.SGD, **OPTIONS))}


def measured(units: int, keep: float, rounds: int) -> tuple[dict[str, float], dict[str, int]]:
    """Return the seconds of a step of each contestant, and the bytes that it saves."""
    torch.manual_seed(0)
    x, y = torch.randn(BATCH, INPUTS), torch.randint(CLASSES, (BATCH,))
    best: dict[str, float] = {}
    for _ in range(LAYOUTS):
        contestants = forms(units, keep)
        steps = {
            name: step_of(net, optimizer, x, y) for name, (net, optimizer) in contestants.items()
        }
        for name, took in seconds(steps, rounds, torch.device("cpu")).items():
            best[name] = min(best.get(name, took), took)
    saved = {
        name: saved_bytes(lambda net=net: net(x), [x, *net.parameters()])
        for name, (net, _) in contestants.items()
    }
    return best, saved


def step_of(
    net: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor
) -> Callable[[], object]:
    """Return a function that takes a step."""

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        return loss

    return lambda: optimizer.step(closure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds a build")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    names = ("dense", "dropout", "plain", "leaves", "random, plain", "narrow")
    print(f"{'units':>6}{'keep':>6}" + "".join(f"{name:>15}" for name in names) + "   ms, MiB")
    failed = False
    for units in WIDTHS:
        for keep in KEEPS:
            took, saved = measured(units, keep, rounds)
            print(
                f"{units:>6}{keep:>6}"
                + "".join(f"{1e3 * took[n]:>8.2f}{saved[n] / 2**20:>7.2f}" for n in names)
            )
            if (units, keep) == BOUNDED:
                ratios = {
                    "of the dense step": (took["leaves"] / took["dense"], OF_DENSE),
                    "of the narrow net's step": (took["leaves"] / took["narrow"], OF_NARROW),
                    "of the dense bytes": (saved["leaves"] / saved["dense"], OF_BYTES),
                }
                for what, (ratio, bound) in ratios.items():
                    failed |= ratio > bound
                    word = "within" if ratio <= bound else "OUT OF BOUNDS: above"
                    print(f"{'':>12}leaves take {ratio:.3f} {what}, {word} {bound}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

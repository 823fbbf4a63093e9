"""Times WeightNet's layer beside a plain convolution, and beside SE and CondConv of timm.

Everything runs in one process on one thread, in interleaved rounds; a time is that of a forward and
a backward pass, the minimum over the rounds of this process's CPU time. Exits with 1 if WeightNet
1x at 32 channels, 14 x 14 pixels and 64 samples is above its bound, or if the form that it chooses
is anywhere slower than its other one.

    python benchmarks/weightnet.py
"""

import argparse
import sys
from functools import partial

import torch
from augmix import imported
from torch import Tensor, nn

from reviewlib.papers.weightnet import WeightNetConv2d
from reviewlib.papers.weightnet.nets import SqueezeExcite, condconv
from reviewlib.train.timing import seconds

EXPERTS, LAYOUTS = 4, 3  # memory is laid out anew a few times
# (channels, side, samples)
SIZES = ((8, 7, 64), (16, 14, 64), (32, 14, 64), (32, 7, 64), (64, 7, 64), (64, 14, 64))
BOUNDED, OF_PLAIN, OF_OTHER = (32, 14, 64), 1.35, 1.05


class PeerCondConv(nn.Module):
    """timm's CondConv with the routing of the nets that use it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.routing = nn.Linear(channels, EXPERTS)
        kind = imported("timm.layers").CondConv2d
        self.conv = kind(channels, channels, 3, padding=1, num_experts=EXPERTS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x (B, C, H, W)."""
        return self.conv(x, self.routing(x.mean((-2, -1))).sigmoid())


def layers(channels: int) -> dict[str, nn.Module]:
    """Return each contestant; all take and give as many channels."""
    where = (channels, channels, 3)
    plain = nn.Conv2d(*where, padding=1, bias=False)
    squeeze = imported("timm.layers").SEModule(channels, rd_channels=max(16, channels // 16))
    return {
        "plain": plain,
        "folded": WeightNetConv2d(*where, padding=1, cheap=False),
        "gated": WeightNetConv2d(*where, padding=1, cheap=True),
        "4x": WeightNetConv2d(*where, padding=1, M=8),
        "CondConv": condconv(*where, 1, 1, experts=EXPERTS),
        "timm's": PeerCondConv(channels),
        "SE": nn.Sequential(plain, SqueezeExcite(channels)),
        "timm's SE": nn.Sequential(plain, squeeze),
    }


def chosen(channels: int, side: int, samples: int) -> str:
    """Return the form that WeightNet takes."""
    layer = WeightNetConv2d(channels, channels, 3, padding=1)
    gated = layer.is_gated(torch.empty(samples, channels, side, side))
    return "gated" if gated else "folded"


def both_ways(layer: nn.Module, x: Tensor) -> None:
    """Pass forward and backward."""
    layer(x).backward(x.detach())


def measured(channels: int, side: int, samples: int, rounds: int) -> dict[str, float]:
    """Return the seconds of both passes through each contestant."""
    best: dict[str, float] = {}
    for layout in range(LAYOUTS):
        torch.manual_seed(layout)
        x = torch.randn(samples, channels, side, side, requires_grad=True)
        steps = {name: partial(both_ways, layer, x) for name, layer in layers(channels).items()}
        for name, took in seconds(steps, rounds, torch.device("cpu")).items():
            best[name] = min(best.get(name, took), took)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds a layout")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    failed = False
    for size in SIZES:
        took = measured(*size, rounds)
        plain = took.pop("plain")
        if size == SIZES[0]:
            names = "".join(f"{name:>10}" for name in took)
            print(f"{'channels, side, samples':<24}{'ms':>7}{names}   in times of a plain layer")
        print(
            f"{size!s:<24}{1e3 * plain:>7.2f}"
            + "".join(f"{t / plain:>10.2f}" for t in took.values())
        )
        form = chosen(*size)
        (other,) = {"folded", "gated"} - {form}
        bounds = [(f"the {other} form", took[form] / took[other], OF_OTHER)]
        if size == BOUNDED:
            bounds.append(("a plain layer", took[form] / plain, OF_PLAIN))
        for what, ratio, bound in bounds:
            failed |= ratio > bound
            if ratio > bound or size == BOUNDED:
                word = "within" if ratio <= bound else "OUT OF BOUNDS: above"
                print(f"{'':>8}{form}, it takes {ratio:.2f} of {what}, {word} {bound}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

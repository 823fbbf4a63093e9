"""Times a SAM step against the base optimizer's step and against pytorch_optimizer's SAM.

Everything runs in one process on one thread, in interleaved rounds; a time is the minimum over the
rounds of this process's CPU time. SAM takes two forward-backward passes, so the ratio to the base
is 2 plus overhead. Exits with 1 if ours is above the bound of its net.

    python benchmarks/sam_step.py
"""

import argparse
import sys
import time
from collections.abc import Callable

import pytorch_optimizer
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reviewlib.papers.sam import SAM

LR, MOMENTUM, RHO = 1e-6, 0.9, 0.05  # so slow that every round meets the same weights
LAYOUTS, ROUND_SECONDS = 10, 0.01


def cnn() -> nn.Module:
    layers = []
    for inputs, outputs in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mlp(inputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 10))


# name, net, shape of a batch, bound on our ratio to the base
CASES = (
    ("CNN 16-32-64", cnn, (64, 1, 28, 28), 2.1),
    ("MLP 784-128-10", lambda: mlp(784), (100, 1, 28, 28), 2.25),
    ("MLP 196-128-10", lambda: mlp(196), (100, 1, 14, 14), 2.25),
)


def closure_for(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        model.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


def steps(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    """Return one step of each contestant; every one has its own copy of the same net."""
    torch.manual_seed(0)
    x, y = torch.rand(shape), torch.randint(10, shape[:1])
    state = make().state_dict()

    def fresh() -> tuple[nn.Module, Callable[[], Tensor]]:
        model = make()
        model.load_state_dict(state)
        return model, closure_for(model, x, y)

    options = {"lr": LR, "momentum": MOMENTUM}
    base_model, base_closure = fresh()
    base = torch.optim.SGD(base_model.parameters(), **options)
    our_model, our_closure = fresh()
    ours = SAM(our_model.parameters(), torch.optim.SGD, rho=RHO, model=our_model, **options)
    peer_model, peer_closure = fresh()
    peer = pytorch_optimizer.SAM(peer_model.parameters(), torch.optim.SGD, rho=RHO, **options)

    def peer_step() -> None:
        peer_closure()  # its step expects the gradients at w
        peer.step(peer_closure)

    return {
        "base": lambda: base.step(base_closure),
        "ours": lambda: ours.step(our_closure),
        "pytorch_optimizer": peer_step,
    }


def fastest(make: Callable[[], nn.Module], shape: tuple[int, ...], rounds: int) -> dict[str, float]:
    """Return each contestant's milliseconds a step: the minimum over interleaved rounds.

    The nets are built anew a few times, because where their tensors lie in memory is worth some
    per cent to one contestant or another.
    """
    best = {}
    for _ in range(LAYOUTS):
        contestants = steps(make, shape)
        for step in contestants.values():
            _seconds(step, 5)  # warm-up
        repeats = max(1, round(ROUND_SECONDS / _seconds(contestants["base"], 5)))
        for _ in range(rounds):
            for name, step in contestants.items():
                ms = 1000 * _seconds(step, repeats)
                best[name] = min(best.get(name, ms), ms)
    return best


def _seconds(step: Callable[[], object], repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds a build")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    too_slow = False
    print(
        f"{'net':<16}{'base ms':>9}{'ours ms':>9}{'peer ms':>9}{'ours/base':>11}{'peer/base':>11}"
    )
    for name, make, shape, bound in CASES:
        ms = fastest(make, shape, rounds)
        base, ours, peer = ms["base"], ms["ours"], ms["pytorch_optimizer"]
        slow = ours / base > bound
        too_slow |= slow
        verdict = f"OUT OF BOUNDS: > {bound}" if slow else f"within {bound}"
        print(
            f"{name:<16}{base:>9.3f}{ours:>9.3f}{peer:>9.3f}"
            f"{ours / base:>11.3f}{peer / base:>11.3f}  {verdict}"
        )
    print("peer: pytorch_optimizer.SAM, which records BatchNorm statistics in both passes")
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main())

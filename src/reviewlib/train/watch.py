"""What a training loop records about its models: scores, divergence, time, memory."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reviewlib.data import Split


@dataclass
class Seen:
    """What was recorded of one model; the fields are those of `train.Fit`."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    best: nn.Module | None = None
    diverged_at: int | None = None
    passes: int | None = None


class Watch:
    """The observer of one training loop, over one model or a stack of replicas.

    Attributes:
        seen: one entry per model.
        passes: number of forward-backward passes so far, each over one example, of each model.
        cuda: the GPU that the loop runs on, in a list; empty on a CPU.
    """

    def __init__(self, models: int, device: torch.device) -> None:
        """Start the clock, for this number of models on a device."""
        self.seen = [Seen() for _ in range(models)]
        self.passes = 0
        self.cuda = [device] if device.type == "cuda" else []
        if self.cuda:
            torch.cuda.reset_peak_memory_stats(device)
        self.began = self._clock()

    @contextlib.contextmanager
    def counting(self, model: nn.Module, examples: int) -> Iterator[None]:
        """Count the examples (B, C, H, W) that the model gets meanwhile; if none, the batch's."""
        seen: list[int] = []

        def see(_: nn.Module, args: tuple) -> None:
            if args and isinstance(args[0], Tensor) and args[0].ndim >= 4:
                seen.append(args[0].shape[-4])

        hook = model.register_forward_pre_hook(see)
        try:
            yield
        finally:
            hook.remove()
        self.passes += sum(seen) or examples

    def divergence(self, losses: Tensor) -> bool:
        """Find each model's first non-finite loss, (steps, models); return whether all have one."""
        bad = ~losses.isfinite()
        for seen, any_bad, first in zip(
            self.seen, bad.any(0).tolist(), bad.int().argmax(0).tolist(), strict=True
        ):
            if any_bad and seen.diverged_at is None:
                seen.diverged_at, seen.passes = first, self.passes
        return all(seen.diverged_at is not None for seen in self.seen)

    def validation(
        self, step: int, models: Sequence[nn.Module], accuracy: Callable[[int], float]
    ) -> None:
        """Record the accuracy of every model that has not diverged; copy the best of each.

        The time for this does not count as training time.
        """
        paused = self._clock()
        for index, (seen, model) in enumerate(zip(self.seen, models, strict=True)):
            if seen.diverged_at is not None:
                continue
            now = accuracy(index)
            if not seen.curve or now > max(value for _, value in seen.curve):
                seen.best = copy.deepcopy(model)
            seen.curve.append((step, now))
        self.began += self._clock() - paused

    def last_update(self, step: int, models: Sequence[nn.Module]) -> None:
        """Record models that the last update made non-finite as diverged; no loss shows this."""
        for seen, model in zip(self.seen, models, strict=True):
            if seen.diverged_at is None:
                seen.passes = self.passes
                if not all(p.isfinite().all() for p in model.parameters()):
                    seen.diverged_at = step

    def seconds(self) -> float:
        """Return the seconds per model since the start: CPU time, or wall time on a GPU."""
        return (self._clock() - self.began) / len(self.seen)

    def peak_bytes(self) -> int | None:
        """Return the peak GPU memory per model, None on a CPU."""
        if not self.cuda:
            return None
        return torch.cuda.max_memory_allocated(self.cuda[0]) // len(self.seen)

    def _clock(self) -> float:
        if not self.cuda:
            return time.process_time()
        torch.cuda.synchronize(self.cuda[0])
        return time.perf_counter()


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, batch_size: int = 2000) -> dict[str, float]:
    """Return accuracy (fraction) and nll (nats) of the model in evaluation mode on a split."""
    was_training = model.training
    model.eval()
    correct = torch.zeros((), device=split.labels.device)
    nll = torch.zeros((), device=split.labels.device, dtype=torch.float64)
    for x, y in zip(split.pixels().split(batch_size), split.labels.split(batch_size), strict=True):
        logits = model(x)
        correct += (logits.argmax(1) == y).sum()
        nll += F.cross_entropy(logits, y, reduction="sum")
    model.train(was_training)
    return {"accuracy": correct.item() / len(split), "nll": nll.item() / len(split)}

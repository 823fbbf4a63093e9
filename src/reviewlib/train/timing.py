"""What a step of a training costs: seconds, side by side with other steps, and memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from reviewlib.train.batches import part_of
from reviewlib.train.recipe import Training

Step = Callable[[], Tensor]
LEAST_SECONDS, LEAST_STEPS = 0.01, 3  # of a measurement


def step_of(training: Training) -> Step:
    """Return a function that takes an optimizer step on the first batch of a training."""
    model, config = training.model.train(), training.config
    x, y = _first_batch(training)
    optimizer = training.optimizer(model, config)

    def closure(part: int = 0, parts: int = 1) -> Tensor:
        optimizer.zero_grad()
        inputs = (part_of(batch, part, parts, axis=0) for batch in (x, y)) if parts > 1 else (x, y)
        loss = training.loss(model, *inputs)
        loss.backward()
        return loss.detach()

    return lambda: optimizer.step(closure)


def seconds(steps: Mapping[str, Step], rounds: int, device: torch.device) -> dict[str, float]:
    """Return the seconds of each step: the minimum over rounds, in each of which all take turns.

    CPU seconds of this process on a CPU, wall seconds on a GPU.
    """
    for step in steps.values():  # a first step makes buffers
        step()
    counts = {
        name: max(LEAST_STEPS, math.ceil(LEAST_SECONDS / _measured(step, 1, device)))
        for name, step in steps.items()
    }
    best = dict.fromkeys(steps, math.inf)
    for _ in range(rounds):
        for name, step in steps.items():
            best[name] = min(best[name], _measured(step, counts[name], device))
    return best


def activation_bytes(training: Training) -> int:
    """Return the bytes that a step saves for its backward pass, without parameters and the batch.

    What a model makes of the batch first, such as normalized images, counts.
    """
    model, (x, y) = training.model.train(), _first_batch(training)
    own = (x, y, *model.parameters(), *model.buffers())
    return saved_bytes(lambda: training.loss(model, x, y), own)


def saved_bytes(forward: Callable[[], Tensor], own: Iterable[Tensor] = ()) -> int:
    """Return the bytes that a forward pass saves for its backward pass, each storage once.

    Args:
        forward: the pass; its result holds the graph.
        own: tensors that are not counted, nor views of them.
    """
    known = {_storage(tensor) for tensor in own}
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in known:
            saved[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        held = forward()  # its graph holds the storages, so none of them is used twice
    del held
    return sum(saved.values())


def peak_bytes(step: Step, device: torch.device) -> int | None:
    """Return the memory that a step takes on a GPU beyond what it finds there; None on a CPU."""
    if device.type != "cuda":
        return None
    step()  # a first step makes buffers
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _first_batch(training: Training) -> tuple[Tensor, Tensor]:
    size = training.config.batch_size
    part = training.train.take(range(size))
    return part.pixels(), part.labels


def _measured(step: Step, count: int, device: torch.device) -> float:
    """Return the seconds of one of `count` steps in a row."""
    began = _clock(device)
    for _ in range(count):
        step()
    return (_clock(device) - began) / count


def _clock(device: torch.device) -> float:
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()

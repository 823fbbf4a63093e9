"""The random numbers of a training: torch's default generators, restarted at every step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from reviewlib.data import stream_seed

# The seeds of two parts of a batch are this far apart: more than any number of steps, but small,
# because torch's CPU generator uses only the low 32 bits of a seed.
MOST_STEPS = 2**20


class Draws:
    """The default generators in one training, seeded from (seed, step, part of the batch).

    Attributes:
        log: the generators' states just before each restart in the first step, and at its end. Two
            trainings with equal logs drew equally many numbers, of the same kinds.
        any: whether anything was drawn up to the last entry of the log.
    """

    def __init__(self, seed: int, cuda: Sequence[torch.device]) -> None:
        """Start the stream of a seed; an optimizer may draw before its first closure."""
        self.first = stream_seed(seed, "method")
        self.generators = [torch.default_generator, *map(generator_of, cuda)]
        self.log: list[list[bytes]] = []
        self.any = False
        self._seed(self.first - 1)

    def restart(self, step: int, part: int) -> None:
        """Start the stream of a part of the batch of a step."""
        if step == 0:
            self.note()
        self._seed(self.first + step + part * MOST_STEPS)

    def note(self) -> None:
        """Log the generators' states."""
        fresh = [torch.Generator(one.device).manual_seed(self.last) for one in self.generators]
        before, now = ([_state(one) for one in ones] for ones in (fresh, self.generators))
        self.log.append(now)
        self.any |= before != now

    def _seed(self, seed: int) -> None:
        """Seed the generators, without the overhead of torch.manual_seed."""
        self.last = seed
        for generator in self.generators:
            generator.manual_seed(seed)


def generator_of(device: torch.device) -> torch.Generator:
    """Return torch's default generator of a device."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator


def _state(generator: torch.Generator) -> bytes:
    return generator.get_state().numpy().tobytes()

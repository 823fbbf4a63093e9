"""The named random streams of a run: two arms can share one stream and differ in another."""

import hashlib
import operator

import torch

STREAMS = ("subset", "noise", "init", "order", "method")


def stream_seed(seed: int, name: str) -> int:
    """Return the 63-bit seed of a named random stream.

    Args:
        seed: the seed of the run, any integer.
        name: one of STREAMS.

    Raises:
        ValueError: there is no stream of this name.
    """
    if name not in STREAMS:
        raise ValueError(f"a stream must be one of {', '.join(STREAMS)}, got {name!r}")
    digest = hashlib.sha256(f"{name}:{operator.index(seed)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str) -> torch.Generator:
    """Return a CPU generator at the start of a named random stream (see `stream_seed`)."""
    return torch.Generator().manual_seed(stream_seed(seed, name))

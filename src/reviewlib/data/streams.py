"""The named random streams of a run: two arms can share one stream and differ in another."""

import hashlib
import operator

import torch

STREAMS = ("subset", "noise", "init", "order", "method", "search")


def stream_seed(seed: int, name: str, part: str = "") -> int:
    """Return the 63-bit seed of a named random stream.

    Args:
        seed: the seed of the run, any integer.
        name: one of STREAMS.
        part: every part of a stream is independent, such as a hyperparameter of the search.

    Raises:
        ValueError: there is no stream of this name.
    """
    if name not in STREAMS:
        raise ValueError(f"a stream must be one of {', '.join(STREAMS)}, got {name!r}")
    words = f"{name}:{operator.index(seed)}" + (f":{part}" if part else "")
    digest = hashlib.sha256(words.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str, part: str = "") -> torch.Generator:
    """Return a CPU generator at the start of a named random stream (see `stream_seed`)."""
    return torch.Generator().manual_seed(stream_seed(seed, name, part))

"""The type of new tensors."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    """Make new nets, and all numbers by default, of this floating-point type meanwhile."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)

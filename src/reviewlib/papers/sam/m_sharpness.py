"""m-sharpness: SAM with an e(w) of its own for each of k equal parts of the batch.

Paper: Foret et al., arXiv 2010.01412, where every device has one part of m examples. Here the parts
follow one another on one device, and BatchNorm treats each as a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from reviewlib.papers.sam import method


class MSharpSAM(method.SAM):
    """SAM whose step takes the mean of its parts' gradients, each taken at the part's w + e(w).

    Takes the arguments of `method.SAM`, and:

    Args:
        chunks: equal parts of the batch: m = batch size / chunks. With several, the closure is
            called as closure(i, chunks), for the i-th part.

    Raises:
        ValueError: chunks below 1.
    """

    def __init__(
        self, params, base_optimizer, rho=0.05, adaptive=False, model=None, chunks=1, **options
    ):
        """Build SAM and remember the number of parts."""
        if chunks < 1:
            raise ValueError(f"chunks must be at least 1, got {chunks}")
        super().__init__(params, base_optimizer, rho, adaptive, model, **options)
        self.chunks = chunks

    def parts(self, closure: Callable[..., Tensor] | None) -> Iterator[tuple[int, ...]]:
        """Yield the closure's arguments for each part; then leave the mean of their gradients."""
        (whole,) = super().parts(closure)
        if self.chunks == 1:
            yield whole
            return
        mean = {}
        for i in range(self.chunks):
            yield i, self.chunks
            for p in (p for group in self.param_groups for p in group["params"]):
                if p.grad is not None:
                    mean[p] = mean.get(p, 0) + p.grad / self.chunks
        for p, gradient in mean.items():
            p.grad = gradient

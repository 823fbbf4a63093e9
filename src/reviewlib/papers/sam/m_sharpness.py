"""m-sharpness: SAM with a separate e(w) for each of k equal parts of the batch.

Paper: Foret et al., arXiv 2010.01412, where every device has one part of m examples. Here one
device takes the parts one after another, and BatchNorm treats each as a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from reviewlib.papers.sam import method


class MSharpSAM(method.SAM):
    """SAM that steps along the mean of the parts' gradients, each taken at the part's w + e(w).

    Takes the arguments of `method.SAM`, and:

    Args:
        chunks: number of equal parts of the batch, of m = batch size / chunks examples. If it is
            above 1, the closure is called as closure(i, chunks), for part i.

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
        """Yield the closure's arguments for each part; then set `.grad` to their mean gradient."""
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

"""Weight averaging: the cheap rival. One pass a step, and a moving average of the weights.

Kaddour, Liu, Silva, Kusner, NeurIPS 2022, arXiv 2202.00661, compare SAM with averaged weights.
They average over the last part of training (SWA) at a constant rate; here an exponential moving
average runs along the whole schedule, and only the final weights are replaced.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reviewlib.train.optimizers import along


class Averaged(torch.optim.Optimizer):
    """A base optimizer whose weights are replaced by their moving average after the last step.

    Args:
        base: the optimizer that takes the steps; its `param_groups` are shared.
        forget: share of the newest weights in the average, in (0, 1]; one per replica, (R,), in a
            stack.
        steps: number of steps of the training.

    Raises:
        ValueError: a share out of range.
    """

    def __init__(self, base: torch.optim.Optimizer, forget: float | Tensor, steps: int) -> None:
        """Share the base optimizer's parameter groups and state."""
        share = torch.as_tensor(forget)
        if not ((share > 0) & (share <= 1)).all():
            raise ValueError(f"forget must lie in (0, 1], got {share.tolist()}")
        self.base, self.forget, self.left = base, forget, steps
        super().__init__(base.param_groups, {})
        self.param_groups, self.state = base.param_groups, base.state
        self.weights = [w for group in base.param_groups for w in group["params"]]
        self.average = [w.detach().clone() for w in self.weights]

    @torch.no_grad()
    def step(self, closure: Callable[..., Tensor] | None = None) -> Tensor | None:
        """Take the base optimizer's step, update the average, and use it after the last step."""
        loss = self.base.step(closure)
        for w, mean in zip(self.weights, self.average, strict=True):
            mean.lerp_(w, along(self.forget, w))
        self.left -= 1
        if self.left == 0:
            torch._foreach_copy_(self.weights, self.average)
        return loss

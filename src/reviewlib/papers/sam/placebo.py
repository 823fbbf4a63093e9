"""SAM's placebo: the gradient at a random point as far away as SAM's, one pass a step.

It has SAM's outward form, a gradient at distance rho, without its reason, that the loss rises
along the way there. The SAM paper compares with random perturbations in an appendix.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reviewlib.papers.sam.method import SAM


class RandomDirection(SAM):
    """Step from w along the gradient at w + rho z / ||z||_2, z Gaussian over all parameters.

    Takes SAM's arguments. z comes from torch's default generator and is drawn before the closure
    is called. BatchNorm records the one pass there is, the perturbed one.
    """

    def sharp_gradient(self, closure: Callable[..., Tensor], *part: int) -> Tensor:
        """Leave the gradient at w + rho z / ||z||_2 in `.grad`; return the loss there."""
        with self.perturbed(), torch.enable_grad():
            return closure(*part)

    def gradients(self, group: dict) -> tuple[list[Tensor], list[Tensor]]:
        """Return the trainable parameters of a group, and z in place of the gradient."""
        w = [p for p in group["params"] if p.requires_grad]
        return w, [torch.randn_like(p) for p in w]

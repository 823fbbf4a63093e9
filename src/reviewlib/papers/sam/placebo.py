"""SAM's placebo: the gradient at a random point at SAM's distance, one pass per step.

Like SAM, it takes the gradient at distance rho; unlike SAM, it does not go there in a direction in
which the loss rises. The SAM paper compares with random perturbations in an appendix.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reviewlib.papers.sam.m_sharpness import MSharpSAM
from reviewlib.papers.sam.method import restored


class RandomDirection(MSharpSAM):
    """Step from w along the gradient at w + rho z / ||z||_2, z Gaussian over all parameters.

    Takes SAM's arguments. z comes from torch's default generator and is drawn before the closure
    is called. The replicas of a stack share z, which is what each would draw alone. BatchNorm
    records its only pass, the perturbed one.
    """

    @torch.no_grad()
    def step(self, closure: Callable[..., Tensor] | None = None) -> Tensor:
        """Take one step and return the loss at w + rho z / ||z||_2."""
        losses = []
        for part in self.parts(closure):
            w, e = self.ascent(self.drawn)
            with restored(w):
                torch._foreach_add_(w, e)  # w + rho z / ||z||_2
                with torch.enable_grad():
                    losses.append(closure(*part))  # leaves the gradient there
        self.base_optimizer.step()
        return losses[0] if len(losses) == 1 else sum(losses) / len(losses)

    def drawn(self, w: Tensor) -> Tensor | None:
        """Return a Gaussian direction for w, the same for every replica; None for a frozen w."""
        if not w.requires_grad:
            return None
        one = w[(0,) * self.norm_axis]  # of one replica, or w itself
        return torch.randn_like(one).expand_as(w).clone()

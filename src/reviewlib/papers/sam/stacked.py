"""SAM on a stack of replicas: every replica has its own norm, and may have its own rho."""

from __future__ import annotations

import torch
from torch import Tensor

from reviewlib.papers.sam.method import SAM


class StackedSAM(SAM):
    """SAM whose parameters lead with an axis of replicas, (R, ...).

    Takes SAM's arguments; rho is a number, or one a replica, (R,).
    """

    def __init__(self, params, base_optimizer, rho=0.05, **options):
        """Build SAM without a radius, and give it this one."""
        super().__init__(params, base_optimizer, rho=0.0, **options)
        for group in self.param_groups:
            group["rho"] = rho

    def ascent(self) -> list[tuple[list[Tensor], list[Tensor], float]]:
        """Return (w, e(w), 1) of each group: SAM's `ascent`, with norms over a replica at a time.

        A replica's gradients may be 0 in all parameters; its e(w) is 0 then.
        """
        moves = [(*self.gradients(group), group) for group in self.param_groups]
        for w, g, group in moves:
            if group["adaptive"]:
                torch._foreach_mul_(g, w)  # T g, but for the sign
        norms = [
            torch.linalg.vector_norm(gradient, dim=tuple(range(1, gradient.ndim)))
            for _, g, _ in moves
            for gradient in g
        ]
        norm = torch.linalg.vector_norm(torch.stack(norms), dim=0).clamp_min(1e-12)  # (R,)
        for w, g, group in moves:
            if group["adaptive"]:
                torch._foreach_mul_(g, w)  # T^2 g
            length = group["rho"] / norm
            for gradient in g:
                gradient.mul_(length.view(-1, *[1] * (gradient.ndim - 1)))
        return [(w, g, 1.0) for w, g, _ in moves]

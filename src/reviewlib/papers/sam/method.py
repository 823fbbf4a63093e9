"""SAM: step from w along the gradient taken at w + e(w), where the loss nearby is highest.

Paper: Foret, Kleiner, Mobahi, Neyshabur, ICLR 2021, arXiv 2010.01412, Algorithm 1 and Eq. 2.
ASAM, its adaptive form: Kwon, Kim, Park, Choi, ICML 2021, arXiv 2102.11600.

Reference code:
https://github.com/google-research/sam/blob/1c8af511b24a4d0f5fb7ecea6636d4da232f9605/sam_jax/training_utils/flax_training.py
https://github.com/davda54/sam/blob/87a9604896bac2f0f7182b20fa3ade725b0e956b/sam.py
https://github.com/SamsungLabs/ASAM/blob/dc9b513fde61d93515dee21b1663baa06af0767d/asam.py

Differences:
1. Weight decay is the base optimizer's: it acts at w and stays out of e(w), as in Algorithm 1. The
   official code puts the penalty into the loss, and so into both gradients.
2. No gradient is clipped; the official code clips the final one to a norm of 5.
3. m-sharpness: the parts of a batch follow one another on one device, where the paper has one part
   per device. BatchNorm treats each part as a batch.
4. Both passes meet the same dropout mask only if the closure restarts the random generator.
5. ASAM scales all parameters by |w|, like davda54; SamsungLabs only "weight"s, by |w| + eta.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimization around a base optimizer that takes the actual step.

    Args:
        params: parameters or groups, on one device; a group may set its own `rho`, `adaptive`.
        base_optimizer: a class such as torch.optim.SGD, or a function that makes one; its
            `param_groups` (lr, say) are shared.
        rho: length of e(w) in parameter space, >= 0.
        adaptive: measure that length in units of each |w| (ASAM).
        model: its BatchNorm layers then record only the pass at w; without it, both passes.
        chunks: equal parts of the batch, each with its own e(w): m = batch size / chunks.
        base_kwargs: handed to `base_optimizer`.

    Raises:
        ValueError: rho negative or not finite, chunks below 1, or option names clash.
        TypeError: `base_optimizer` makes nothing, or `model` is no module.
    """

    def __init__(
        self, params, base_optimizer, rho=0.05, adaptive=False, model=None, chunks=1, **base_kwargs
    ):
        """Build the base optimizer on this one's parameter groups and share its state."""
        if not callable(base_optimizer):
            raise TypeError(f"base_optimizer must be a class like SGD, got {base_optimizer!r}")
        if not isinstance(model, nn.Module | None):
            raise TypeError(f"model must be an nn.Module or None, got {type(model).__name__}")
        if chunks < 1:
            raise ValueError(f"chunks must be at least 1, got {chunks}")
        super().__init__(params, {"rho": rho, "adaptive": adaptive})
        if bad := [g["rho"] for g in self.param_groups if not 0 <= g["rho"] < math.inf]:
            raise ValueError(f"rho must be non-negative and finite, got {bad[0]}")
        base = self.base_optimizer = base_optimizer(self.param_groups, **base_kwargs)
        if clash := sorted(self.defaults.keys() & base.defaults.keys()):
            raise ValueError(f"base_optimizer must not share option names with SAM, got {clash}")
        self.defaults |= base.defaults
        self.param_groups, self.state = base.param_groups, base.state
        modules = () if model is None else model.modules()
        self.norms = [m for m in modules if hasattr(m, "track_running_stats")]
        self.chunks = chunks

    def __getstate__(self) -> dict:
        """Keep the base optimizer too when this one is copied or pickled."""
        return self.__dict__

    @torch.no_grad()
    def step(self, closure: Callable[..., Tensor] | None = None) -> Tensor:
        """Take one step of Algorithm 1 and return the loss at w.

        The closure clears the gradients, computes the loss, calls backward and returns the loss.
        With several chunks it is called as closure(i, chunks), for the i-th part of the batch.
        """
        if closure is None:
            raise ValueError("step must get a closure (SAM needs two gradients), got None")
        gradient = self.sharp_gradient if self.chunks == 1 else self.mean_sharp_gradient
        loss = gradient(closure)
        self.base_optimizer.step()  # w - lr * gradient at w + e(w)
        return loss

    def sharp_gradient(self, closure: Callable[..., Tensor], *part: int) -> Tensor:
        """Leave the gradient at w + e(w) in `.grad`; return the loss at w."""
        with torch.enable_grad():
            loss = closure(*part)
        with self.perturbed(), unrecorded(self.norms), torch.enable_grad():
            closure(*part)
        return loss

    def mean_sharp_gradient(self, closure: Callable[..., Tensor]) -> Tensor:
        """Leave the mean of the parts' SAM gradients in `.grad`; return their mean loss at w."""
        losses, mean = [], {}
        for i in range(self.chunks):
            losses.append(self.sharp_gradient(closure, i, self.chunks).detach())
            for p in (p for group in self.param_groups for p in group["params"]):
                if p in mean:
                    mean[p].add_(p.grad, alpha=1 / self.chunks)
                elif p.grad is not None:
                    mean[p] = p.grad / self.chunks
        for p, gradient in mean.items():
            p.grad = gradient
        return torch.stack(losses).mean(0)

    @contextmanager
    def perturbed(self) -> Iterator[None]:
        """Hold the parameters at w + e(w), then put back the very bits of w."""
        moves = self.ascent()
        params = [p for w, _, _ in moves for p in w]
        copies = [p.clone() for p in params]  # subtracting e(w) again would round
        for w, direction, rho in moves:
            torch._foreach_add_(w, direction, alpha=rho)  # w + e(w)
        try:
            yield
        finally:
            torch._foreach_copy_(params, copies)

    def ascent(self) -> list[tuple[list[Tensor], list[Tensor], float]]:
        """Return (w, e(w) / rho, rho) of each group, in place of the gradients, which are spent.

        e(w) / rho = g / ||g||_2 with one norm over all groups (Eq. 2). An adaptive group has T g
        in the norm and T^2 g above it, T = |w|.
        """
        moves = [(*self.gradients(group), group) for group in self.param_groups]
        moves = [move for move in moves if move[0]]  # a group may be frozen as a whole
        if not moves:
            raise RuntimeError("the closure must leave gradients, got none; call loss.backward()")
        adaptive = [(g, w) for w, g, group in moves if group["adaptive"]]
        for g, w in adaptive:
            torch._foreach_mul_(g, w)  # T g, but for the sign
        norms = torch._foreach_norm([gradient for _, g, _ in moves for gradient in g])
        norm = torch.linalg.vector_norm(torch.stack(norms)).clamp_min(1e-12)  # g may be 0
        for g, w in adaptive:
            torch._foreach_mul_(g, w)  # T^2 g
        for _, g, _ in moves:
            torch._foreach_div_(g, norm)
        return [(w, g, group["rho"]) for w, g, group in moves]

    def gradients(self, group: dict) -> tuple[list[Tensor], list[Tensor]]:
        """Return the parameters of a group that have a gradient, and their gradients g."""
        w = [p for p in group["params"] if p.grad is not None]
        return w, [p.grad for p in w]

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what `state_dict` returned: the base optimizer's state and all groups' options."""
        self.base_optimizer.load_state_dict(state_dict)
        self.param_groups, self.state = self.base_optimizer.param_groups, self.base_optimizer.state


@contextmanager
def unrecorded(norms: Iterable[nn.Module]) -> Iterator[None]:
    """Let BatchNorm layers in training mode use a batch's statistics without recording them."""
    norms = [m for m in norms if m.training and m.track_running_stats]
    hidden = [(m, m.running_mean, m.running_var) for m in norms]
    for m in norms:  # InstanceNorm records whenever it has buffers, whatever the flag says
        m.track_running_stats, m.running_mean, m.running_var = False, None, None
    try:
        yield
    finally:
        for m, mean, var in hidden:
            m.track_running_stats, m.running_mean, m.running_var = True, mean, var

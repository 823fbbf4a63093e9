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
3. A batch has one e(w); the paper has one for each device's part of it: see m_sharpness.py.
4. Both passes meet the same dropout mask only if the closure restarts the random generator.
5. ASAM scales all parameters by |w|, like davda54; SamsungLabs only "weight"s, by |w| + eta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimization around a base optimizer that takes the actual step.

    Args:
        params: parameters or groups, on one device; a group may set its own `rho`, `adaptive`.
        base_optimizer: a class such as torch.optim.SGD, or a function that makes one; it
            gets `options`, and its `param_groups` (lr, say) are shared.
        rho: length of e(w) in parameter space, >= 0.
        adaptive: measure that length in units of each |w| (ASAM).
        model: if given, its BatchNorm layers record only the pass at w, instead of both passes.
        norm_axis: the norm runs over each parameter's axes from this one on. With 1, every replica
            in a stack (R, ...) has its own norm, and `rho` may be a tensor (R,).

    Raises:
        ValueError: rho negative or not finite, shapes that do not fit, or option names clash.
        TypeError: `base_optimizer` is not callable or needs a closure, or `model` is no module.
    """

    def __init__(
        self, params, base_optimizer, rho=0.05, adaptive=False, model=None, norm_axis=0, **options
    ):
        """Build the base optimizer on this one's parameter groups and share its state."""
        if not callable(base_optimizer):
            raise TypeError(f"base_optimizer must be a class like SGD, got {base_optimizer!r}")
        if not isinstance(model, nn.Module | None):
            raise TypeError(f"model must be an nn.Module or None, got {type(model).__name__}")
        super().__init__(params, {"rho": rho, "adaptive": adaptive})
        rhos = [torch.as_tensor(g["rho"]) for g in self.param_groups]
        if bad := [rho for rho in rhos if not (rho.isfinite() & (rho >= 0)).all()]:
            raise ValueError(f"rho must be non-negative and finite, got {bad[0].tolist()}")
        # without the last axis, which the norm always covers
        shapes = {w.shape[:-1][:norm_axis] for g in self.param_groups for w in g["params"]}
        shapes |= {rho.shape for rho in rhos if rho.ndim}
        if {len(shape) for shape in shapes} != {norm_axis} or len(shapes) > 1:
            raise ValueError(f"w and a tensor rho must share {norm_axis} first axes, got {shapes}")
        base = self.base_optimizer = base_optimizer(self.param_groups, **options)
        if isinstance(base, torch.optim.LBFGS):
            raise TypeError("base_optimizer must step without a closure, like SGD, got LBFGS")
        if clash := sorted(self.defaults.keys() & base.defaults.keys()):
            raise ValueError(f"base_optimizer must not share option names with SAM, got {clash}")
        self.defaults |= base.defaults
        self.param_groups, self.state = base.param_groups, base.state
        modules = () if model is None else model.modules()
        self.norm_layers = nn.ModuleList(m for m in modules if hasattr(m, "track_running_stats"))
        self.norm_axis = norm_axis

    @torch.no_grad()
    def step(self, closure: Callable[..., Tensor] | None = None) -> Tensor:
        """Take one step of Algorithm 1 and return the loss at w.

        The closure computes the loss, calls backward and returns the loss; gradients are cleared
        before. If it scales the loss, as float16 needs, it divides the gradients by the same
        number: what `GradScaler` does later would come after the step.
        """
        losses = []
        for part in self.parts(closure):  # one part, the whole batch; several in m_sharpness.py
            self.zero_grad()
            with torch.enable_grad():
                losses.append(closure(*part))  # leaves g, the gradient at w, in `.grad`
            w, e = self.ascent()
            with restored([*w, *self.norm_layers.buffers()]):
                torch._foreach_add_(w, e)  # climb to w + e(w)
                self.zero_grad()
                with torch.enable_grad():
                    closure(*part)  # leaves the gradient there
        self.base_optimizer.step()  # from exactly w, along that gradient
        return losses[0] if len(losses) == 1 else sum(losses) / len(losses)

    def parts(self, closure: Callable[..., Tensor] | None) -> Iterator[tuple[int, ...]]:
        """Yield the arguments with which the closure evaluates a part of the batch."""
        if closure is None:
            raise ValueError("step must get a closure (SAM needs two gradients), got None")
        yield ()

    def ascent(self, direction=lambda w: w.grad) -> tuple[list[Tensor], list[Tensor]]:
        """Return the parameters w that have a gradient g, and their e(w), which overwrites g.

        e(w) = rho g / ||g||_2 with one norm over all groups (Eq. 2). In an adaptive
        group, e(w) = rho T^2 g / ||T g||_2 with T = |w|.
        """
        moves = [(w, direction(w), group) for group in self.param_groups for w in group["params"]]
        moves = [(w, g, group) for w, g, group in moves if g is not None]
        if not moves:
            raise RuntimeError("the closure must leave gradients, got none; call loss.backward()")
        wide = torch.promote_types(moves[0][1].dtype, torch.float32)  # a norm overflows float16
        e = [w.to(wide) * g if group["adaptive"] else g for w, g, group in moves]  # +- T g
        norms = [
            torch.linalg.vector_norm(g, dim=[*range(self.norm_axis, g.ndim)], dtype=wide) for g in e
        ]
        norm = torch.linalg.vector_norm(torch.stack(norms), dim=0).clamp_min(1e-12)  # g may be 0
        scales = {id(group): group["rho"] / norm for group in self.param_groups}  # (), or (R,)
        for (w, _, group), g in zip(moves, e, strict=True):
            scale = scales[id(group)].view(*norm.shape, *[1] * (w.ndim - norm.ndim))
            g.copy_(g.to(wide).mul_(scale * w.to(wide) if group["adaptive"] else scale))  # T^2 g
        return [w for w, _, _ in moves], e

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what `state_dict` returned: the base optimizer's state and all groups' options."""
        self.base_optimizer.load_state_dict(state_dict)
        self.param_groups, self.state = self.base_optimizer.param_groups, self.base_optimizer.state

    __getstate__ = object.__getstate__  # so copies and pickles keep the base optimizer too


@contextmanager
def restored(tensors: list[Tensor]) -> Iterator[None]:
    """Restore the tensors bitwise at the end; subtracting e(w) again would round."""
    copies = [t.clone() for t in tensors]
    try:
        yield
    finally:
        torch._foreach_copy_(tensors, copies)

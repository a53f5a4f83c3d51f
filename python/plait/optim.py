"""Optimizers, with PyTorch's names: `loss.backward(); optimizer.step(); optimizer.zero_grad()`, or
as part of a compiled step: `plait.compile(loss_function, optimizer=optimizer)`. Both give the same
bits.

`schedule` is a function of the number of updates made that gives a factor on the learning rate:
`constant()`, `warmup(steps)`, `warmup_cosine(…)` or one of your own.
"""

from plait import _core
from plait._core import Schedule, constant, warmup, warmup_cosine
from plait.nn.utils import clip_grad_norm_


class Optimizer:
    """What the optimizers share. `params` are parameters, or dicts with `params` and settings of
    their own: `lr`, `weight_decay`."""

    def __init__(self, make, params, *settings):
        groups = list(params)
        if groups and not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self._core = make(
            [
                _core.ParameterGroup(
                    list(g["params"]), **{k: v for k, v in g.items() if k != "params"}
                )
                for g in groups
            ],
            *settings,
        )

    def step(self):
        """Updates the parameters by their `.grad`, in one program with the gradients."""
        self._core.step()

    def zero_grad(self):
        """Forgets the gradients."""
        self._core.zero_grad()

    @property
    def lr(self):
        """The learning rate of the coming step, of the first group; setting it sets all groups'."""
        return self._core.lr

    @lr.setter
    def lr(self, lr):
        self._core.lr = lr

    @property
    def steps(self):
        """The number of updates made."""
        return self._core.steps

    @property
    def grad_norm(self):
        """The norm of the last step's gradients before clipping; needs `clip_norm`."""
        return self._core.grad_norm

    def set_schedule(self, schedule):
        self._core.set_schedule(schedule)

    def state_dict(self):
        """The tensors that a resumed run needs beside the parameters, by name."""
        return dict(self._core.state())

    def load_state_dict(self, state):
        """Sets all of the state, or none of it if anything differs."""
        _core.write_all("load_state_dict", list(self.state_dict().items()), dict(state))


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as PyTorch's without dampening."""

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0, nesterov=False, *,
                 decay_min_rank=0, clip_norm=None, schedule=None):  # fmt: skip
        super().__init__(_core.sgd, params, lr, momentum, nesterov, weight_decay, decay_min_rank,
                         clip_norm, schedule)  # fmt: skip


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015); decay is an L2 penalty on the gradients."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, *,
                 decay_min_rank=0, clip_norm=None, schedule=None):  # fmt: skip
        super().__init__(_core.adam, params, lr, tuple(betas), eps, weight_decay, decay_min_rank,
                         clip_norm, schedule)  # fmt: skip


class AdamW(Optimizer):
    """AdamW (Loshchilov and Hutter 2019). Tensors of fewer axes than `decay_min_rank` do not decay;
    `clip_norm` bounds the norm of all gradients together."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, *,
                 decay_min_rank=0, clip_norm=None, schedule=None):  # fmt: skip
        super().__init__(_core.adamw, params, lr, tuple(betas), eps, weight_decay, decay_min_rank,
                         clip_norm, schedule)  # fmt: skip


__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "Schedule", "clip_grad_norm_", "constant", "warmup",
           "warmup_cosine"]  # fmt: skip

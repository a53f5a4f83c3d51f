"""Optimizers. They make part of a training step: `plait.compile(loss_function, optimizer=...)`.

A schedule is a function of the number of updates made, or `warmup_cosine(...)`.
"""
from plait import _core


def warmup_cosine(warmup_steps, total_steps, final_fraction):
    """Rises linearly to 1, then half a cosine down to `final_fraction` at `total_steps`."""
    return (warmup_steps, total_steps, float(final_fraction))


def AdamW(params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, *, decay_min_rank=0,
          clip_norm=None, schedule=None):
    """AdamW (Loshchilov and Hutter 2019). Tensors of fewer axes than `decay_min_rank` do not decay;
    `clip_norm` bounds the norm of all gradients together."""
    return _core.adamw(list(params), lr, betas[0], betas[1], eps, weight_decay, decay_min_rank,
                       clip_norm, schedule)


def SGD(params, lr=1e-3, momentum=0.0, weight_decay=0.0, *, clip_norm=None, schedule=None):
    """Stochastic gradient descent with momentum, as PyTorch's."""
    return _core.sgd(list(params), lr, momentum, weight_decay, clip_norm, schedule)

"""Losses and distances as modules."""

from plait._core import functions
from plait.nn._module import Module


class CrossEntropyLoss(Module):
    """Of logits and class numbers, or class probabilities."""

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        self.weight, self.ignore_index = weight, ignore_index
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def forward(self, input, target):
        return functions.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )  # fmt: skip


class MSELoss(Module):
    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, input, target):
        return functions.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Module):
    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, input, target):
        return functions.l1_loss(input, target, reduction=self.reduction)


class _Loss(Module):
    _function = None

    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, input, target):
        return type(self)._function(input, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Of logits and probabilities."""

    _function = staticmethod(functions.binary_cross_entropy_with_logits)


class NLLLoss(_Loss):
    """Of log-probabilities and class numbers."""

    _function = staticmethod(functions.nll_loss)


class SmoothL1Loss(Module):
    def __init__(self, reduction="mean", beta=1.0):
        self.reduction, self.beta = reduction, beta

    def forward(self, input, target):
        return functions.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Module):
    def __init__(self, reduction="mean", delta=1.0):
        self.reduction, self.delta = reduction, delta

    def forward(self, input, target):
        return functions.huber_loss(input, target, self.reduction, self.delta)


class KLDivLoss(Module):
    """Of log-probabilities and probabilities, or with `log_target` their logarithms."""

    def __init__(self, reduction="mean", log_target=False):
        self.reduction, self.log_target = reduction, log_target

    def forward(self, input, target):
        return functions.kl_div(
            input, target, reduction=self.reduction, log_target=self.log_target
        )


class CosineSimilarity(Module):
    def __init__(self, dim=1, eps=1e-8):
        self.dim, self.eps = dim, eps

    def forward(self, x1, x2):
        return functions.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    def __init__(self, p=2.0, eps=1e-6, keepdim=False):
        self.p, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1, x2):
        return functions.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)

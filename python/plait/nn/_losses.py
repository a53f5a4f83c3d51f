"""Losses as modules."""

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


class SmoothL1Loss(_Loss):
    _function = staticmethod(functions.smooth_l1_loss)


class KLDivLoss(_Loss):
    """Of log-probabilities and probabilities."""

    _function = staticmethod(functions.kl_div)

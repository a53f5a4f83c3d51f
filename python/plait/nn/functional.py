"""The ops as functions, under PyTorch's name for the place."""

from plait._core.functions import *  # noqa: F403

"""Plait: a tensor compiler for training and running models."""

from plait._core import __version__

__all__ = ["__version__"]

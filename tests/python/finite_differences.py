"""Derivatives of numpy functions, for comparison with gradients.

Where a function has no derivative (a tie, |x| at 0) an interval holds the slopes on both sides and
those at points nearby; which choice Plait makes is documented in docs/numerics.md.
"""
import dataclasses

import numpy as np

FIRST_STEP, STEP_RATIO, STEPS = 0.02, 4.0, 6
NEIGHBOURS = 32


@dataclasses.dataclass
class Slopes:
    """One number per result of the function: bounds of the derivative by one input. NaN where a
    result or its slope is not finite, or differences say nothing (a jump)."""

    low: np.ndarray
    high: np.ndarray


def extrapolate(slopes):
    """(derivative, error) from central differences with falling steps (Ridders, 1982)."""
    best = np.full(slopes[0].shape, np.nan)
    error = np.full(slopes[0].shape, np.inf)
    before = []
    for slope in slopes:
        row = [slope]
        for k, other in enumerate(before):
            factor = STEP_RATIO ** (2 * (k + 1))
            row.append((row[k] * factor - other) / (factor - 1))
            apart = np.maximum(np.abs(row[k + 1] - row[k]), np.abs(row[k + 1] - other))
            better = apart < error
            best = np.where(better, row[k + 1], best)
            error = np.where(better, apart, error)
        before = row
    return best, error


def central(function, x, position, step):
    above, below = x.copy(), x.copy()
    above[position] += step
    below[position] -= step
    return (function(above) - function(below)) / (above[position] - below[position])


def slopes_nearby(function, x, position):
    """(lowest, highest) at points so close that only ties are decided another way."""
    draw = np.random.default_rng(3)
    slopes = [central(function, x + 1e-4 * draw.normal(size=x.shape), position, 1e-7)
              for _ in range(NEIGHBOURS)]
    return np.min(slopes, axis=0), np.max(slopes, axis=0)


def unread(function, x, position):
    """Which results are finite and do not depend on the element, whatever the elements are."""
    draw = np.random.default_rng(4)
    same = True
    for _ in range(NEIGHBOURS):
        below = draw.uniform(0.1, 2, size=x.shape)
        above = below.copy()
        above[position] = 2.5
        at = function(below)
        same = same & (at == function(above)) & np.isfinite(at)
    return same


def slopes_by(function, x, position):
    """Of `function`, from an array like x to a vector, by the element of x at `position`."""
    steps = FIRST_STEP * max(1.0, abs(x[position])) / STEP_RATIO ** np.arange(STEPS)
    with np.errstate(all="ignore"):
        at = function(x)
        if not np.isfinite(x[position]):
            return Slopes(np.full(at.shape, np.nan), np.full(at.shape, np.nan))
        best, error = extrapolate([central(function, x, position, step) for step in steps])
        above, below = x.copy(), x.copy()
        above[position] += steps[-1]
        below[position] -= steps[-1]
        right = (function(above) - at) / (above[position] - x[position])
        left = (at - function(below)) / (x[position] - below[position])
        size = 1 + np.abs(best)
        smooth = (np.abs(right - left) < 1e-3 * size) & (error < 1e-5 * size)
        low, high = best - 4 * error, best + 4 * error
        known = np.isfinite(at) & np.isfinite(right) & np.isfinite(left)
        if not np.all(smooth | ~known):
            lowest, highest = slopes_nearby(function, x, position)
            low = np.minimum(lowest, np.minimum(left, right))
            high = np.maximum(highest, np.maximum(left, right))
        jumps = high - low > 1e2
        known &= np.isfinite(low) & np.isfinite(high) & ~jumps
        apart = ~known
        if np.any(apart):
            apart &= unread(function, x, position)
    low, high = np.where(known, low, np.nan), np.where(known, high, np.nan)
    return Slopes(np.where(apart, 0.0, low), np.where(apart, 0.0, high))


def contracted(slopes, weights):
    """(low, high, size) of the derivative of sum(weights * results); size sums the terms' sizes."""
    ends = np.stack([slopes.low * weights, slopes.high * weights])
    size = np.sum(np.max(np.abs(ends), axis=0))
    return np.sum(np.min(ends, axis=0)), np.sum(np.max(ends, axis=0)), size

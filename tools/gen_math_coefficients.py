#!/usr/bin/env python3
"""Prints the polynomial coefficients used in jit/lower/math (needs mpmath).

Each fit is a weighted minimax polynomial (Remez exchange) whose coefficients are then rounded to
the target precision. Usage: gen_math_coefficients.py [name ...]
"""

import sys

from mpmath import (atan, atanh, cos, erf, erfc, exp, ln, log, lu_solve, matrix, mp, mpf, pi, sin,
                    sqrt, tanh)

mp.dps = 50


def rounded(x, bits):
    """x rounded to `bits` bits of mantissa."""
    with mp.workprec(bits):
        return +x


def remez(f, weight, degrees, lo, hi):
    """Coefficients c of sum c_k x^degrees[k] that minimise max |weight * (f - sum)| on [lo, hi]."""
    n = len(degrees)
    count = 60 * (n + 1)
    middle, radius = (lo + hi) / 2, (hi - lo) / 2
    grid = [middle - radius * cos(pi * (2 * i + 1) / (2 * count)) for i in range(count)]
    values = [(f(x), weight(x)) for x in grid]
    nodes = [int((i + mpf(1) / 2) * count / (n + 1)) for i in range(n + 1)]
    best = None
    for _ in range(12):
        a, b = matrix(n + 1, n + 1), matrix(n + 1, 1)
        for row, i in enumerate(nodes):
            y, w = values[i]
            for column, degree in enumerate(degrees):
                a[row, column] = w * grid[i] ** degree
            a[row, n] = (-1) ** row
            b[row] = w * y
        solution = lu_solve(a, b)
        coefficients = [solution[k] for k in range(n)]
        errors = [w * (y - sum(c * x ** d for c, d in zip(coefficients, degrees)))
                  for x, (y, w) in zip(grid, values)]
        peaks = []
        for i, error in enumerate(errors):
            if peaks and (errors[peaks[-1]] > 0) == (error > 0):
                if abs(error) > abs(errors[peaks[-1]]):
                    peaks[-1] = i
            else:
                peaks.append(i)
        size = max(abs(error) for error in errors)
        if best is None or size < best[1]:
            best = coefficients, size
        if len(peaks) < n + 1:
            break
        largest = max(peaks, key=lambda i: abs(errors[i]))
        windows = [peaks[i:i + n + 1] for i in range(len(peaks) - n)]
        nodes = max((w for w in windows if largest in w),
                    key=lambda w: min(abs(errors[i]) for i in w))
    return best


def fit(f, weight, degrees, lo, hi, bits):
    """The minimax coefficients rounded to `bits` bits, with the errors before and after."""
    lo, hi = mpf(lo), mpf(hi)
    coefficients, ideal = remez(f, weight, degrees, lo, hi)
    coefficients = [rounded(c, bits) for c in coefficients]
    count = 3000
    points = [lo + (hi - lo) * (i + mpf(1) / 2) / count for i in range(count)]
    error = max(abs(weight(x) * (f(x) - sum(c * x ** d for c, d in zip(coefficients, degrees))))
                for x in points)
    return coefficients, ideal, error


def taylor(terms):
    """The sum of a power series from its coefficients, for arguments near 0."""
    return lambda x: sum(c * x ** k for k, c in enumerate(terms))


def careful(f, series, bound=mpf(1) / 1000):
    """f, but its power series where f would cancel."""
    return lambda x: series(x) if abs(x) < bound else f(x)


def factorials(start, step, sign):
    """The sum of sign^k x^k / (start + k step)! over k."""
    terms, value = [], mpf(1)
    for i in range(1, start + 1):
        value /= i
    n, s = start, mpf(1)
    for _ in range(14):
        terms.append(s * value)
        for _ in range(step):
            n += 1
            value /= n
        s *= sign
    return taylor(terms)


exp_tail = careful(lambda r: (exp(r) - 1 - r) / r ** 2, factorials(2, 1, 1))
log_tail = careful(lambda f: (log(1 + f) - f + f * f / 2) / f ** 3,
                   taylor([mpf((-1) ** k) / (k + 3) for k in range(20)]))
atanh_tail = careful(lambda z: ((log((1 + sqrt(z)) / (1 - sqrt(z))) / sqrt(z) - 2) / z),
                     taylor([mpf(2) / (2 * k + 3) for k in range(20)]))
log2_head = careful(lambda f: log(1 + f) / f / ln(2),
                    taylor([mpf((-1) ** k) / (k + 1) / ln(2) for k in range(20)]))
atanh_far_tail = careful(lambda z: ((atanh(sqrt(z)) / sqrt(z) - 1) / z - mpf(1) / 3) / z,
                         taylor([mpf(1) / (2 * k + 5) for k in range(20)]))
sin_tail = careful(lambda z: (sin(sqrt(z)) / sqrt(z) - 1) / z,
                   lambda z: -factorials(3, 2, -1)(z))
cos_tail = careful(lambda z: (cos(sqrt(z)) - 1 + z / 2) / z ** 2, factorials(4, 2, -1))
tanh_tail = careful(lambda z: (tanh(sqrt(z)) / sqrt(z) - 1) / z,
                    taylor([-mpf(1) / 3, mpf(2) / 15, -mpf(17) / 315, mpf(62) / 2835,
                            -mpf(1382) / 155925, mpf(21844) / 6081075,
                            -mpf(929569) / 638512875, mpf(6404582) / 10854718875]))
atan_tail = careful(lambda z: (atan(sqrt(z)) / sqrt(z) - 1) / z,
                    taylor([mpf((-1) ** (k + 1)) / (2 * k + 3) for k in range(20)]))
erf_head = careful(lambda z: erf(sqrt(z)) / sqrt(z) - 1,
                   lambda z: 2 / sqrt(pi) * sum((-z) ** k / (mp.factorial(k) * (2 * k + 1))
                                                for k in range(16)) - 1)
ERF_SPLIT = mpf("0.9375")
half_ln2 = ln(2) / 2 * mpf("1.0001")
root_half, root_two = sqrt(mpf(1) / 2) - 1, sqrt(mpf(2)) - 1
eighth_turn = (pi / 4) ** 2 * mpf("1.0001")


def log_erfc(t):
    return log(erfc(ERF_SPLIT + t))


def erfc_weight(t):
    return erfc(ERF_SPLIT + t) / erf(ERF_SPLIT + t)


def log_weight(f):
    return f ** 2 if abs(f) < mpf("1e-9") else abs(f ** 3 / log(1 + f))


def exp_weight(r):
    return abs(r) if abs(r) < mpf("1e-9") else abs(r ** 2 / (exp(r) - 1))


FITS = {
    # name: function, weight (relative to the whole function), degrees, interval, bits
    # exp(r) = 1 + r + r^2 P(r)
    "exp_f32": (exp_tail, exp_weight, range(5), -half_ln2, half_ln2, 24),
    "exp_f64": (exp_tail, exp_weight, range(11), -half_ln2, half_ln2, 53),
    # log(1 + f) = f - f^2/2 + f^3 P(f)
    "log_f32": (log_tail, log_weight, range(8), root_half, root_two, 24),
    # log((1 + s) / (1 - s)) = 2s + s z P(z), z = s^2
    "log_f64": (atanh_tail, lambda z: z / 2, range(7), 0, mpf("0.02945"), 53),
    # log2(1 + f) = f P(f)
    "log2_for_pow_f32": (log2_head, lambda f: f / log(1 + f), range(12), root_half, root_two, 53),
    # atanh(s) = s + s z / 3 + s z^2 P(z), z = s^2
    "log_for_pow_f64": (atanh_far_tail, lambda z: z * z, range(8), 0, mpf("0.02945"), 53),
    # 2^r = P(r)
    "exp2_for_pow_f32": (lambda r: 2 ** r, lambda r: 2 ** -r, range(8), mpf("-0.5"), mpf("0.5"),
                         53),
    # sin(r) = r + r z P(z), z = r^2
    "sin_f32": (sin_tail, lambda z: z, range(3), 0, eighth_turn, 24),
    "sin_f64": (sin_tail, lambda z: z, range(6), 0, eighth_turn, 53),
    # cos(r) = 1 - z/2 + z^2 P(z)
    "cos_f32": (cos_tail, lambda z: z * z, range(3), 0, eighth_turn, 24),
    "cos_f64": (cos_tail, lambda z: z * z, range(6), 0, eighth_turn, 53),
    # tanh(x) = x + x z P(z), z = x^2
    "tanh_f32": (tanh_tail, lambda z: z, range(5), 0, mpf("0.625") ** 2, 24),
    # erf(x) = x + x P(z), z = x^2
    "erf_f32": (erf_head, lambda z: mpf(1), range(7), 0, ERF_SPLIT ** 2, 24),
    "erf_f64": (erf_head, lambda z: mpf(1), range(12), 0, ERF_SPLIT ** 2, 53),
    # log(erfc(x)) = P(x - ERF_SPLIT)
    "erfc_f32": (log_erfc, erfc_weight, range(7), 0, 4 - ERF_SPLIT, 24),
    "erfc_f64": (log_erfc, erfc_weight, range(19), 0, 6 - ERF_SPLIT, 53),
    # atan(t) = t + t z P(z), z = t^2
    "atan_f32": (atan_tail, lambda z: z, range(9), 0, 1, 24),
    "atan_f64": (atan_tail, lambda z: z, range(19), 0, 1, 53),
}


def main():
    for name in sys.argv[1:] or FITS:
        f, weight, degrees, lo, hi, bits = FITS[name]
        coefficients, ideal, error = fit(f, weight, list(degrees), lo, hi, bits)
        bits_lost = [float(mp.log(e, 2)) for e in (error, ideal)]
        print(f"// {name}: error 2^{bits_lost[0]:.1f}, before rounding 2^{bits_lost[1]:.1f}")
        print(", ".join(mp.nstr(c, 9 if bits == 24 else 17) for c in coefficients), flush=True)


if __name__ == "__main__":
    main()

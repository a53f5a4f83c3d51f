// The index map of a reshape, kept structured: axes that survive stay single variables.
#pragma once

#include "core/shape.h"

namespace plait::detail {

// For each axis of `from` its index as an expression over the axes of `to`; both shapes hold the
// same number of elements. The axes are cut into the smallest runs with equal products, so that
// (B, T, 768) -> (B, T, 12, 64) only touches the last axis.
std::vector<Expr> reshape_map(const Shape& from, const Shape& to);

// total / known where that is exact, by cancelling common factors; absent if it can't be seen.
std::optional<Expr> exact_quotient(const Shape& total, const Shape& known);

}  // namespace plait::detail

// Solving for the index tuple of a value, given the tuples at which its operands are known.
#pragma once

#include <optional>
#include <vector>

#include "core/index/simplify.h"

namespace plait::fusion {

// The unknowns are the variables `first` … `first + extents.size() - 1`, with those extents.
struct Equation {
  Expr demanded;  // over the unknowns
  Expr known;     // over group axes
};

// One expression over group axes per unknown; unknowns that no equation determines stay absent.
// Only a proposal: the caller substitutes it and compares.
std::vector<std::optional<Expr>> solve(const std::vector<Equation>& equations, uint32_t first,
                                       const std::vector<Expr>& extents, const Ranges& ranges);

}  // namespace plait::fusion

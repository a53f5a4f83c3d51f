// The loops of a nest: group axes merged into as few loop axes as their accesses allow.
#pragma once

#include <vector>

#include "core/index/simplify.h"
#include "passes/fusion/plan.h"

namespace plait::lower {

struct LoopAxis {
  std::vector<uint32_t> group_axes;  // neighbours, outermost first
  Expr extent;
  bool inner;
};

// An element of memory over group axes (elements of index tensors count as constants), or an index
// that a guard or iota needs.
struct Address {
  Expr index;
  // Elements of the value in memory; 0 for other indices. A fixed element exists for every flat
  // size only where its tensor keeps a size of its own.
  Expr size;
};

// What the nest's values read and write.
std::vector<Address> addresses_of(const Graph& graph, const fusion::FusionPlan& plan,
                                  const fusion::Nest& nest);

// Inner axes merge as the bit contract says (all neighbours); outer ones where every address stays
// free of division.
std::vector<LoopAxis> merge_axes(const Graph& graph, const fusion::FusionPlan& plan,
                                 const fusion::Nest& nest);

// Appends to `axes` (indexed by group axis) what each group axis of a loop axis is, given the loop
// axis' index.
void expand_axis(const LoopAxis& loop_axis, Expr index, const std::vector<Expr>& extents,
                 std::vector<Expr>& axes);

}  // namespace plait::lower

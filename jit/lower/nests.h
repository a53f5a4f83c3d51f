// One function per kind of nest: each appends phases to the kernel.
#pragma once

#include "core/target.h"
#include "jit/lower/values.h"

namespace plait::lower {

struct NestContext {
  const Graph& graph;
  const fusion::FusionPlan& plan;
  const fusion::Nest& nest;
  const Target& target;
  LoweredGroup& result;
  Values& values;
  bool alone;  // the kernel has no other nest
};

void lower_loops(const NestContext& context);
void lower_contraction(const NestContext& context);
void lower_scatter(const NestContext& context);
void lower_scan(const NestContext& context);
void lower_sort(const NestContext& context);

// Lanes of elementwise and row kernels: also those of the reduction order.
inline constexpr int64_t kLanes = 32;

// Loops over [0, extent) in vectors of kLanes, the last one shorter, or masked where the extent is
// not a number; `body` gets the index, `after_whole` the first one of each whole vector.
void vector_strip(Values& values, Expr extent,
                  const std::function<void(Expr index, Expr lane)>& body,
                  const std::function<void(Expr first)>& after_whole = {});

}  // namespace plait::lower

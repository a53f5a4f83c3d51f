// The axes of a loops nest: rows outside, one inner loop or more, and lanes along one of them.
#pragma once

#include <optional>
#include <vector>

#include "core/reduction_order.h"
#include "jit/lower/axes.h"
#include "jit/lower/nests.h"

namespace plait::lower {

class NestAxes {
 public:
  explicit NestAxes(const NestContext& context);

  const std::vector<LoopAxis>& inner() const { return inner_; }
  // An outer axis along which lanes run; absent where they run along the last inner one.
  const std::optional<LoopAxis>& lane() const { return lane_; }
  Expr rows() const;  // over the outer axes but the lanes'
  Expr inner_elements() const;
  // Of reductions over the inner axes.
  ReductionOrder order() const;

  // What an axis is at the insertion point, or all outer or inner ones by their row-major index.
  void set(const LoopAxis& axis, Expr index);
  void set_outer(Expr row);
  void set_inner(Expr index);
  // A tuple over group axes there, and that of a reduction's operand.
  Tuple at(const Tuple& tuple) const;
  Tuple operand_at(const fusion::Member& member) const;

 private:
  void use_flat_size();
  bool is_flat(const LoopAxis& axis) const;

  const NestContext& context_;
  Values& values_;
  std::vector<LoopAxis> outer_, inner_;
  std::optional<LoopAxis> lane_;
  bool lane_is_inner_ = false;
  std::optional<Expr> flat_chunk_;
  std::vector<Expr> axes_;  // what each group axis is at the insertion point
};

}  // namespace plait::lower

// The axes of a contraction's nest, and what each of them is at the insertion point.
#pragma once

#include "jit/lower/axes.h"
#include "jit/lower/values.h"

namespace plait::lower {

class ProductAxes {
 public:
  ProductAxes(Values& values, const fusion::Nest& nest);

  void set(const LoopAxis& axis, Expr index);
  void set_batch(Expr index);
  Tuple at(const Tuple& tuple) const;

  std::vector<Expr> extents;  // of group and k axes
  std::vector<Expr> current;  // the same axes' indices
  LoopAxis batch, m, n, k;

 private:
  LoopAxis merged(const std::vector<uint32_t>& axes) const;
  Values& values_;
};

}  // namespace plait::lower

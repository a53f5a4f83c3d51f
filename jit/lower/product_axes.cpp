#include "jit/lower/product_axes.h"

#include "jit/lower/digits.h"

namespace plait::lower {

ProductAxes::ProductAxes(Values& values, const fusion::Nest& nest)
    : extents(nest.extents), values_(values) {
  const fusion::Contraction& contraction = *nest.contraction;
  extents.insert(extents.end(), contraction.k_extents.begin(), contraction.k_extents.end());
  current.assign(extents.size(), Expr());
  batch = merged(contraction.batch);
  m = merged(contraction.m);
  n = merged(contraction.n);
  k = merged(contraction.k);
}

LoopAxis ProductAxes::merged(const std::vector<uint32_t>& axes) const {
  LoopAxis result{axes, 1, false};
  for (uint32_t axis : axes) result.extent = result.extent * extents[axis];
  return result;
}

void ProductAxes::set(const LoopAxis& axis, Expr index) {
  if (!axis.group_axes.empty()) expand_axis(axis, index, extents, current);
}

void ProductAxes::set_batch(Expr index) {
  Digits digits;
  for (uint32_t axis : batch.group_axes) digits.axes.push_back({{axis}, extents[axis], false});
  const std::vector<Expr> indices = bind_digits(values_, digits, index);
  for (size_t i = 0; i < indices.size(); ++i) set(digits.axes[i], indices[i]);
}

Tuple ProductAxes::at(const Tuple& tuple) const {
  Substitution substitution;
  for (uint32_t axis = 0; axis < current.size(); ++axis) substitution.emplace(axis, current[axis]);
  Tuple result;
  for (Expr e : tuple) result.push_back(values_.simplified(substitute(e, substitution)));
  return result;
}

}  // namespace plait::lower

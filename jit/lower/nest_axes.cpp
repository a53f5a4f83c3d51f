#include "jit/lower/nest_axes.h"

#include <algorithm>

#include "passes/fusion/roles.h"

namespace plait::lower {

NestAxes::NestAxes(const NestContext& context)
    : context_(context), values_(context.values), axes_(context.nest.extents.size()) {
  for (LoopAxis& axis : merge_axes(context.graph, context.plan, context.nest)) {
    (axis.inner ? inner_ : outer_).push_back(std::move(axis));
  }
  // Lanes run along the last group axis, which is contiguous for whatever the nest is made for.
  const auto last = static_cast<uint32_t>(axes_.size()) - 1;
  lane_is_inner_ = !inner_.empty() && inner_.back().group_axes.back() == last;
  if (!lane_is_inner_ && !outer_.empty()) {
    lane_ = outer_.back();
    outer_.pop_back();
  }
  use_flat_size();
}

// A nest over one flat axis serves every size: equal nests of other sizes share its kernel.
void NestAxes::use_flat_size() {
  const size_t loops = inner_.size() + outer_.size() + (lane_ ? 1 : 0);
  const auto& members = context_.nest.members;
  const bool gathers = std::any_of(members.begin(), members.end(), [&](const auto& member) {
    return fusion::is_data_indexed(context_.graph.node(member.value));
  });
  if (loops != 1 || !context_.alone || gathers || !outer_.empty()) return;
  LoopAxis& axis = lane_ ? *lane_ : inner_.front();
  if (axis.extent.constant().value_or(2) < 2 || !is_flat(axis)) return;
  const Expr size = Expr::symbol("_n", 0, int64_t{1} << 40);
  context_.result.kernel.symbols.push_back("_n");
  context_.result.sizes.push_back(axis.extent);
  // The length of a chunk is an argument too: the kernel stays free of the formula.
  const ReductionOrder formula = inner_.empty() ? ReductionOrder{} : order();
  values_.set_flat_size(axis.extent, size);
  axis.extent = size;
  if (inner_.empty()) return;
  context_.result.kernel.symbols.push_back("_chunk");
  context_.result.sizes.push_back(formula.chunk);
  flat_chunk_ = Expr::symbol("_chunk", formula.block, int64_t{1} << 40, formula.block);
}

// Whether all addresses are the index along the axis, the only one, or the same everywhere.
bool NestAxes::is_flat(const LoopAxis& axis) const {
  std::vector<Expr> group(axes_.size());
  expand_axis(axis, Expr::variable(0), context_.nest.extents, group);
  Substitution substitution;
  for (uint32_t k = 0; k < group.size(); ++k) substitution.emplace(k, group[k]);
  Ranges ranges;
  ranges.set(0, axis.extent);
  for (const Address& address : addresses_of(context_.graph, context_.plan, context_.nest)) {
    const Expr e = simplify(substitute(address.index, substitution), ranges);
    if (e == Expr::variable(0)) continue;
    if (!variables_of(e).empty() || address.size == axis.extent) return false;
  }
  return true;
}

void NestAxes::set(const LoopAxis& axis, Expr index) {
  // Of several axes: addresses fold to the index again only while it is one variable.
  const bool merged = axis.group_axes.size() > 1;
  expand_axis(axis, merged ? values_.placeholder(index, axis.extent) : index, context_.nest.extents,
              axes_);
}

void NestAxes::set_outer(Expr row) {
  for (size_t i = outer_.size(); i-- > 0;) {
    set(outer_[i], i == 0 ? row : mod(row, outer_[i].extent));
    row = floor_div(row, outer_[i].extent);
  }
}

void NestAxes::set_inner(Expr index) {
  for (size_t i = inner_.size(); i-- > 0;) {
    set(inner_[i], i == 0 ? index : mod(index, inner_[i].extent));
    index = floor_div(index, inner_[i].extent);
  }
}

Expr NestAxes::rows() const {
  Expr count = 1;
  for (const LoopAxis& axis : outer_) count = count * axis.extent;
  return count;
}

Expr NestAxes::inner_elements() const {
  Expr count = 1;
  for (const LoopAxis& axis : inner_) count = count * axis.extent;
  return values_.simplified(count);
}

ReductionOrder NestAxes::order() const {
  std::vector<Expr> extents;
  for (const LoopAxis& axis : inner_) extents.push_back(axis.extent);
  ReductionOrder result = reduction_order(extents, lane_is_inner_);
  if (flat_chunk_) result.chunk = *flat_chunk_;
  return result;
}

Tuple NestAxes::at(const Tuple& tuple) const {
  Substitution substitution;
  for (uint32_t k = 0; k < axes_.size(); ++k) substitution.emplace(k, axes_[k]);
  Tuple result;
  for (Expr e : tuple) result.push_back(substitute(e, substitution));
  return values_.normalized(result);
}

Tuple NestAxes::operand_at(const fusion::Member& member) const {
  std::vector<Expr> reduced;
  for (uint32_t axis : member.reduced) reduced.push_back(Expr::variable(axis));
  const Node& node = context_.graph.node(member.value);
  return at(fusion::operand_tuple(context_.graph, node, member.tuple, 0, reduced));
}

}  // namespace plait::lower

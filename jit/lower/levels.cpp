#include "jit/lower/levels.h"

#include <algorithm>

#include "core/error.h"
#include "passes/fusion/roles.h"

namespace plait::lower {

using fusion::Tuple;

namespace {

// More than about this many operations are kept rather than repeated in a later loop over the row.
constexpr double kMostRepeated = 10;
constexpr double kRandomCost = 40;
constexpr double kGatherCost = 6;

}  // namespace

bool Levels::KeyLess::operator()(const Instance& a, const Instance& b) const {
  if (a.first != b.first) return a.first < b.first;
  if (a.second.size() != b.second.size()) return a.second.size() < b.second.size();
  for (size_t i = 0; i < a.second.size(); ++i) {
    const int order = Expr::compare(a.second[i], b.second[i]);
    if (order != 0) return order < 0;
  }
  return false;
}

Levels::Levels(const Graph& graph, const fusion::FusionPlan& plan, const fusion::Nest& nest)
    : graph_(graph), plan_(plan), nest_(nest) {
  for (uint32_t axis = 0; axis < nest.extents.size(); ++axis) {
    ranges_.set(axis, nest.extents[axis]);
  }
  for (const fusion::Member& member : nest.members) members_.emplace(member.value, &member);
}

bool Levels::uses_inner(const Tuple& tuple) const {
  return std::any_of(nest_.inner.begin(), nest_.inner.end(), [&](uint32_t axis) {
    return std::any_of(tuple.begin(), tuple.end(),
                       [&](Expr e) { return contains_variable(e, axis); });
  });
}

bool Levels::is_loaded(Value v) const { return plan_.in_memory[v] && !members_.contains(v); }

std::vector<Levels::Instance> Levels::operands(Value v, const Tuple& tuple) const {
  const Node& node = graph_.node(v);
  std::vector<Instance> result;
  const bool reindex = node.op == MetaOp::reindex;
  const size_t count = reindex ? 1 : node.operands.size();
  for (size_t i = 0; i < count; ++i) {
    Tuple at = fusion::operand_tuple(graph_, node, tuple, i);
    for (Expr& e : at) {
      replace_elements(e, [&](uint32_t tensor, std::span<const Expr> indices) {
        result.emplace_back(tensor, Tuple(indices.begin(), indices.end()));
        return Expr();
      });
      e = simplify(e, ranges_);
    }
    result.emplace_back(node.operands[i], std::move(at));
  }
  return result;
}

Levels::Instance Levels::operand_of(const fusion::Member& member) const {
  std::vector<Expr> reduced;
  for (uint32_t axis : member.reduced) reduced.push_back(Expr::variable(axis));
  const Node& node = graph_.node(member.value);
  Tuple tuple = fusion::operand_tuple(graph_, node, member.tuple, 0, reduced);
  for (Expr& e : tuple) e = simplify(e, ranges_);
  return {node.operands[0], std::move(tuple)};
}

const Levels::Info& Levels::info(Value v, const Tuple& tuple) {
  const Instance key(v, tuple);
  const auto found = infos_.find(key);
  if (found != infos_.end()) return found->second;

  Info result;
  double own = 0;
  const Node& node = graph_.node(v);
  if (is_loaded(v) || node.op == MetaOp::iota || node.op == MetaOp::constant ||
      node.op == MetaOp::size) {
    result.inner = uses_inner(tuple);
    result.cost = result.inner ? 1 : 0;
  } else if (node.op == MetaOp::reduce) {
    const auto member = members_.find(v);
    PLAIT_INTERNAL_CHECK(member != members_.end(), "%{} is no member", v);
    const Instance operand = operand_of(*member->second);
    result.level = info(operand.first, operand.second).level + 1;
  } else if (node.op == MetaOp::random) {
    result.inner = uses_inner(tuple);
    result.cost = own = kRandomCost;
  } else {
    for (const Instance& operand : operands(v, tuple)) {
      const Info& below = info(operand.first, operand.second);
      result.level = std::max(result.level, below.level);
      result.inner = result.inner || below.inner;
      result.cost += below.cost;
    }
    if (is_elementwise(node.op)) own += fusion::operation_cost(node);
    if (fusion::is_data_indexed(node)) own += kGatherCost;
    result.cost = result.inner ? result.cost + own : 0;
  }
  work_.resize(std::max<size_t>(work_.size(), result.level + 1));
  if (result.inner) work_[result.level] += own;
  return infos_.emplace(key, result).first->second;
}

int Levels::level_of_operand(const fusion::Member& member) const {
  return operand_levels_.at(member.value);
}

void Levels::add_target(const fusion::Member& member, bool operand) {
  const Instance target = operand ? operand_of(member) : Instance(member.value, member.tuple);
  const int level = info(target.first, target.second).level;
  if (operand) operand_levels_[member.value] = level;
  count_ = std::max(count_, level + 1);
  targets_.resize(std::max<size_t>(targets_.size(), count_));
  targets_[level].push_back(target);
}

int Levels::busiest_below(int limit) const {
  return static_cast<int>(std::max_element(work_.begin(), work_.begin() + limit) - work_.begin());
}

// From the last level down: what a level needs from below may itself need something from further
// below.
void Levels::choose_row_buffers() {
  targets_.resize(count_);
  looked_at_.resize(count_);
  for (int level = count_; level-- > 1;) {
    for (size_t i = 0; i < targets_[level].size(); ++i) {
      const Instance target = targets_[level][i];
      keep_for(level, target.first, target.second);
    }
  }
}

void Levels::keep_for(int level, Value v, const Tuple& tuple) {
  const Info& here = info(v, tuple);
  if (!here.inner || is_loaded(v)) return;
  // A shared operand is looked at once.
  if (!looked_at_[level].emplace(v, tuple).second) return;
  // What a gather reads lies anywhere in the row.
  const bool gathered = std::any_of(tuple.begin(), tuple.end(), contains_element);
  if (here.level < level && here.cost > kMostRepeated && !gathered) {
    const bool kept = std::any_of(
        row_buffers_.begin(), row_buffers_.end(),
        [&](const RowBuffer& buffer) { return buffer.value == v && buffer.tuple == tuple; });
    if (!kept) {
      row_buffers_.push_back({v, tuple, here.level});
      targets_[here.level].emplace_back(v, tuple);
    }
    return;
  }
  const Node& node = graph_.node(v);
  if (node.op == MetaOp::reduce || node.op == MetaOp::iota || node.op == MetaOp::random) return;
  for (const Instance& operand : operands(v, tuple)) {
    keep_for(level, operand.first, operand.second);
  }
}

}  // namespace plait::lower

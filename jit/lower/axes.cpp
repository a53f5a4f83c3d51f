#include "jit/lower/axes.h"

#include <algorithm>
#include <unordered_map>

#include "passes/fusion/instance.h"

namespace plait::lower {

using fusion::Tuple;

namespace {

class AddressCollector {
 public:
  AddressCollector(const Graph& graph, const fusion::FusionPlan& plan, const fusion::Nest& nest)
      : graph_(graph), plan_(plan) {
    for (uint32_t axis = 0; axis < nest.extents.size(); ++axis) {
      ranges_.set(axis, nest.extents[axis]);
    }
    for (const fusion::Member& member : nest.members) members_[member.value] = member.tuple;
    for (const fusion::Member& member : nest.members) {
      const Node& node = graph.node(member.value);
      std::vector<Expr> reduced;
      for (uint32_t axis : member.reduced) reduced.push_back(Expr::variable(axis));
      read_operands(node, member.tuple, reduced);
      if (plan.in_memory[member.value]) add_element(member.value, member.tuple);
    }
    while (!open_.empty()) {
      const auto [v, tuple] = std::move(open_.back());
      open_.pop_back();
      visit(v, tuple);
    }
  }

  std::vector<Address> take() { return std::move(addresses_); }

 private:
  void add(Expr index, Expr size) {
    index = replace_elements(index, [&](uint32_t tensor, std::span<const Expr> indices) {
      add_element(tensor, {indices.begin(), indices.end()});
      return Expr();
    });
    index = simplify(index, ranges_);
    const bool known = std::any_of(addresses_.begin(), addresses_.end(), [&](const Address& other) {
      return other.index == index && other.size == size;
    });
    if (!known) addresses_.push_back({index, size});
  }

  void add_element(Value v, const Tuple& tuple) {
    const Shape& shape = graph_.type(v).shape;
    add(linear_index(shape, tuple), element_count(shape));
  }

  void read_operands(const Node& node, const Tuple& tuple, const std::vector<Expr>& reduced) {
    const bool reindex = node.op == MetaOp::reindex;
    const size_t count = reindex ? 1 : node.operands.size();
    for (size_t i = 0; i < count; ++i) {
      Tuple at = fusion::operand_tuple(graph_, node, tuple, i, reduced);
      for (Expr& e : at) {
        // Guards compare these; elements inside are addresses of their own.
        if (reindex) add(e, 0);
        e = simplify(e, ranges_);
      }
      if (node.op == MetaOp::concat) add(at[node.attributes.axes[0]], 0);
      open_.emplace_back(node.operands[i], std::move(at));
    }
  }

  void visit(Value v, const Tuple& tuple) {
    // A shared value is walked once: trees of shared operands can be exponentially large.
    std::vector<Tuple>& seen = seen_[v];
    if (std::find(seen.begin(), seen.end(), tuple) != seen.end()) return;
    seen.push_back(tuple);
    // Members are walked on their own; at another tuple they are computed again from their leaves.
    const Node& node = graph_.node(v);
    const auto own = members_.find(v);
    const bool member = own != members_.end() && own->second == tuple;
    if (plan_.in_memory[v] && own == members_.end()) return add_element(v, tuple);
    if (node.op == MetaOp::iota) return add(tuple[node.attributes.axes[0]], 0);
    if (node.op == MetaOp::random) {
      for (const int64_t word : {0, 1}) open_.emplace_back(node.operands[0], Tuple{word});
      return add(linear_index(node.type.shape, tuple), 0);
    }
    const OpKind kind = kind_of(node.op);
    if (member || kind == OpKind::reduction || kind == OpKind::whole) return;
    read_operands(node, tuple, {});
  }

  const Graph& graph_;
  const fusion::FusionPlan& plan_;
  Ranges ranges_;
  std::unordered_map<Value, Tuple> members_;
  std::vector<std::pair<Value, Tuple>> open_;
  std::unordered_map<Value, std::vector<Tuple>> seen_;
  std::vector<Address> addresses_;
};

bool divides(Expr e) {
  if (e.kind() == ExprKind::floor_div || e.kind() == ExprKind::mod) return true;
  const std::span<const Expr> operands = e.operands();
  return std::any_of(operands.begin(), operands.end(), divides);
}

}  // namespace

std::vector<Address> addresses_of(const Graph& graph, const fusion::FusionPlan& plan,
                                  const fusion::Nest& nest) {
  return AddressCollector(graph, plan, nest).take();
}

void expand_axis(const LoopAxis& loop_axis, Expr index, const std::vector<Expr>& extents,
                 std::vector<Expr>& axes) {
  Expr rest = index;
  for (size_t i = loop_axis.group_axes.size(); i-- > 1;) {
    const uint32_t axis = loop_axis.group_axes[i];
    axes[axis] = mod(rest, extents[axis]);
    rest = floor_div(rest, extents[axis]);
  }
  axes[loop_axis.group_axes[0]] = rest;
}

std::vector<LoopAxis> merge_axes(const Graph& graph, const fusion::FusionPlan& plan,
                                 const fusion::Nest& nest) {
  const std::vector<Address> addresses = addresses_of(graph, plan, nest);
  auto keeps_addresses = [&](const LoopAxis& merged) {
    // A fresh variable for the merged axis; the others stand for themselves.
    const auto fresh = static_cast<uint32_t>(nest.extents.size());
    Ranges ranges;
    std::vector<Expr> axes;
    for (uint32_t axis = 0; axis < fresh; ++axis) {
      axes.push_back(Expr::variable(axis));
      ranges.set(axis, nest.extents[axis]);
    }
    ranges.set(fresh, merged.extent);
    expand_axis(merged, Expr::variable(fresh), nest.extents, axes);
    Substitution substitution;
    for (uint32_t axis = 0; axis < fresh; ++axis) substitution.emplace(axis, axes[axis]);
    return std::all_of(addresses.begin(), addresses.end(), [&](const Address& address) {
      return divides(address.index) ||
             !divides(simplify(substitute(address.index, substitution), ranges));
    });
  };

  const bool reduces =
      std::any_of(nest.members.begin(), nest.members.end(),
                  [](const fusion::Member& member) { return !member.reduced.empty(); });
  std::vector<LoopAxis> result;
  for (uint32_t axis = 0; axis < nest.extents.size(); ++axis) {
    const bool inner = std::find(nest.inner.begin(), nest.inner.end(), axis) != nest.inner.end();
    if (!result.empty() && result.back().inner == inner) {
      LoopAxis merged = result.back();
      merged.group_axes.push_back(axis);
      merged.extent = merged.extent * nest.extents[axis];
      if ((inner && reduces) || keeps_addresses(merged)) {
        result.back() = std::move(merged);
        continue;
      }
    }
    result.push_back({{axis}, nest.extents[axis], inner});
  }
  return result;
}

}  // namespace plait::lower

#include "passes/fusion/extract.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "core/error.h"

namespace plait::fusion {
namespace {

class Extractor {
 public:
  Extractor(const Graph& graph, const FusionPlan& plan, const Group& group)
      : graph_(graph), plan_(plan) {
    for (const Nest& nest : group.nests) {
      for (const Member& member : nest.members) members_.insert(member.value);
    }
    for (Value v : needed(group)) add(v);
    result_.plan.groups.push_back(group);
    for (Nest& nest : result_.plan.groups.front().nests) rename(nest);
  }

  Extract take() { return std::move(result_); }

 private:
  bool is_leaf(Value v) const { return plan_.in_memory[v] && !members_.contains(v); }

  // In topological order. A product reads its factors, even where their product is in memory for
  // somebody else.
  std::set<Value> needed(const Group& group) const {
    std::set<Value> seen = members_;
    for (const Nest& nest : group.nests) {
      if (nest.contraction) seen.insert({nest.contraction->left, nest.contraction->right});
    }
    std::vector<Value> open(seen.begin(), seen.end());
    while (!open.empty()) {
      const Value v = open.back();
      open.pop_back();
      if (is_leaf(v)) continue;
      for (Value operand : graph_.node(v).operands) {
        if (seen.insert(operand).second) open.push_back(operand);
      }
    }
    return seen;
  }

  void add(Value v) {
    const Node& node = graph_.node(v);
    Value added = kNoValue;
    if (is_leaf(v)) {
      Attributes attributes;
      attributes.name = fmt::format("x{}", result_.values.size());
      added = result_.graph.add(MetaOp::input, {}, std::move(attributes), node.type);
    } else {
      std::vector<Value> operands;
      for (Value operand : node.operands) operands.push_back(renamed(operand));
      added = result_.graph.add(node.op, std::move(operands), node.attributes, node.type);
    }
    PLAIT_INTERNAL_CHECK(added == result_.values.size(), "%{} was there already", v);
    names_[v] = added;
    result_.values.push_back(v);
    result_.plan.in_memory.push_back(plan_.in_memory[v]);
  }

  Value renamed(Value v) const { return names_.at(v); }

  void rename(std::vector<Expr>& tuple) const {
    for (Expr& e : tuple) {
      e = replace_elements(e, [&](uint32_t tensor, std::span<const Expr> indices) {
        return Expr::element(renamed(tensor), {indices.begin(), indices.end()});
      });
    }
  }

  void rename(Nest& nest) const {
    for (Member& member : nest.members) {
      member.value = renamed(member.value);
      rename(member.tuple);
    }
    for (Value& v : nest.stores) v = renamed(v);
    if (!nest.contraction) return;
    Contraction& product = *nest.contraction;
    for (Value* v : {&product.reduce, &product.left, &product.right}) *v = renamed(*v);
    rename(product.left_tuple);
    rename(product.right_tuple);
  }

  const Graph& graph_;
  const FusionPlan& plan_;
  std::set<Value> members_;
  std::unordered_map<Value, Value> names_;
  Extract result_;
};

void combine(size_t& hash, size_t value) { hash = hash * 0x9e3779b97f4a7c15 + value; }

}  // namespace

size_t Extract::hash() const {
  size_t result = graph.size();
  for (Value v = 0; v < graph.size(); ++v) {
    const Node& node = graph.node(v);
    combine(result, static_cast<size_t>(node.op) << 8 | node.attributes.function);
    combine(result, static_cast<size_t>(node.type.dtype));
    for (Expr extent : node.type.shape) combine(result, extent.hash());
    for (Value operand : node.operands) combine(result, operand);
  }
  return result;
}

bool operator==(const Extract& a, const Extract& b) {
  if (a.graph.size() != b.graph.size() || a.plan.in_memory != b.plan.in_memory) return false;
  for (Value v = 0; v < a.graph.size(); ++v) {
    const Node &x = a.graph.node(v), &y = b.graph.node(v);
    const bool same = x.op == y.op && x.type == y.type && x.operands == y.operands &&
                      x.attributes == y.attributes;
    if (!same) return false;
  }
  return a.group() == b.group();
}

Extract extract_group(const Graph& graph, const FusionPlan& plan, const Group& group) {
  return Extractor(graph, plan, group).take();
}

}  // namespace plait::fusion

#include "passes/fusion/extract.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

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

  // Operands before users, and else in the order in which the members ask for them: the numbers
  // in the whole graph depend on what stands beside the group. A product reads its factors, even
  // where their product is in memory for somebody else.
  std::vector<Value> needed(const Group& group) const {
    std::vector<Value> first(members_.begin(), members_.end());
    for (const Nest& nest : group.nests) {
      if (!nest.contraction) continue;
      first.insert(first.end(), {nest.contraction->left, nest.contraction->right});
    }
    std::vector<Value> result;
    std::unordered_set<Value> entered, done;
    std::vector<Value> open(first.rbegin(), first.rend());
    while (!open.empty()) {
      const Value v = open.back();
      if (done.contains(v)) {
        open.pop_back();
        continue;
      }
      if (!entered.insert(v).second || is_leaf(v)) {
        open.pop_back();
        done.insert(v);
        result.push_back(v);
        continue;
      }
      const std::vector<Value> operands = ordered_operands(v);
      open.insert(open.end(), operands.rbegin(), operands.rend());
    }
    return result;
  }

  // The whole graph's numbers decide the order of a commutative operation's operands, too.
  std::vector<Value> ordered_operands(Value v) const {
    const Node& node = graph_.node(v);
    std::vector<Value> operands = node.operands;
    if (node.op != MetaOp::binary || !is_commutative(node.binary())) return operands;
    const auto key = [&](Value operand) {
      const Node& n = graph_.node(operand);
      return is_leaf(operand) ? std::tuple(0, 0, 0, n.type.rank())
                              : std::tuple(1, static_cast<int>(n.op),
                                           static_cast<int>(n.attributes.function), n.type.rank());
    };
    if (key(operands[1]) < key(operands[0])) std::swap(operands[0], operands[1]);
    return operands;
  }

  Value add_node(Value v, std::vector<Value> operands) {
    const Node& node = graph_.node(v);
    for (Value& operand : operands) operand = renamed(operand);
    return result_.graph.add(node.op, std::move(operands), node.attributes, node.type);
  }

  void add(Value v) {
    const Node& node = graph_.node(v);
    Value added = kNoValue;
    if (is_leaf(v)) {
      Attributes attributes;
      attributes.name = fmt::format("x{}", result_.values.size());
      added = result_.graph.add(MetaOp::input, {}, std::move(attributes), node.type);
    } else {
      added = add_node(v, ordered_operands(v));
      // a + b and b + a.
      if (added < result_.values.size()) added = add_node(v, node.operands);
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
    std::ranges::sort(nest.members, {}, &Member::value);
    for (Value& v : nest.stores) v = renamed(v);
    std::ranges::sort(nest.stores);
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
  for (Value v = 0; v < graph.size(); ++v) combine(result, hash_of(graph.node(v)));
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

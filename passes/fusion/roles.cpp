#include "passes/fusion/roles.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "core/index/simplify.h"
#include "core/interrupt.h"
#include "passes/fusion/contraction.h"
#include "passes/fusion/instance.h"

namespace plait::fusion {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// Computing a value again may cost about as much as storing and reading it: some 8 bytes at a
// core's share of memory traffic, against a few operations a cycle.
constexpr double kMostRecompute = 48;
// A value generated from indices and scalars alone may be this large a tree before it is kept.
constexpr double kMostGenerated = 64;
constexpr double kRandomCost = 40;

double unary_cost(UnaryOp op) {
  switch (op) {
    case UnaryOp::neg:
    case UnaryOp::abs:
    case UnaryOp::sign:
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::round:
    case UnaryOp::trunc:
    case UnaryOp::logical_not:
    case UnaryOp::bitwise_not:
    case UnaryOp::is_nan:
      return 1;
    case UnaryOp::sqrt:
    case UnaryOp::rsqrt:
      return 6;
    case UnaryOp::exp:
    case UnaryOp::log:
    case UnaryOp::log2:
      return 14;
    case UnaryOp::expm1:
    case UnaryOp::log1p:
    case UnaryOp::sin:
    case UnaryOp::cos:
    case UnaryOp::tanh:
      return 22;
    case UnaryOp::erf:
      return 28;
  }
  PLAIT_UNREACHABLE("unary {}", static_cast<int>(op));
}

double binary_cost(BinaryOp op) {
  switch (op) {
    case BinaryOp::add:
    case BinaryOp::sub:
    case BinaryOp::mul:
    case BinaryOp::eq:
    case BinaryOp::ne:
    case BinaryOp::lt:
    case BinaryOp::le:
    case BinaryOp::bit_and:
    case BinaryOp::bit_or:
    case BinaryOp::bit_xor:
    case BinaryOp::shift_left:
    case BinaryOp::shift_right:
      return 1;
    case BinaryOp::maximum:
    case BinaryOp::minimum:
      return 2;
    case BinaryOp::div:
    case BinaryOp::mod:
      return 6;
    case BinaryOp::pow:
    case BinaryOp::atan2:
      return 60;
  }
  PLAIT_UNREACHABLE("binary {}", static_cast<int>(op));
}

// Whether `v` is generated without reading a tensor from memory (rank-0 values may be read).
class Generated {
 public:
  explicit Generated(const Graph& graph) : graph_(graph), cost_(graph.size(), kNever) {}

  // Operands must have been asked for before.
  double cost(Value v) {
    const Node& node = graph_.node(v);
    double total = 0;
    switch (kind_of(node.op)) {
      case OpKind::generated:
        total = node.op == MetaOp::random ? kRandomCost : 1;
        break;
      case OpKind::source:
        total = node.type.rank() == 0 ? 0 : kNever;
        break;
      case OpKind::movement:
        total = cost_[node.operands[0]] + (node.op == MetaOp::broadcast ? 0 : 2);
        if (is_data_indexed(node)) total = kNever;
        break;
      case OpKind::elementwise:
        total = operation_cost(node);
        for (Value operand : node.operands) total += cost_[operand];
        break;
      case OpKind::reduction:
      case OpKind::join:
      case OpKind::whole:
      case OpKind::state:
        total = kNever;
        break;
    }
    return cost_[v] = total <= kMostGenerated ? total : kNever;
  }

 private:
  const Graph& graph_;
  std::vector<double> cost_;
};

bool widens(const Graph& graph, const Node& node) {
  if (node.op != MetaOp::cast) return false;
  const DType from = graph.type(node.operands[0]).dtype;
  return dtype_size(from) < dtype_size(node.type.dtype);
}

Role role_of(const Graph& graph, const Node& node, bool generated, bool is_root) {
  switch (kind_of(node.op)) {
    case OpKind::source:
      return node.op == MetaOp::constant && node.type.rank() == 0 && !is_root ? Role::view
                                                                              : Role::source;
    case OpKind::generated:
      return is_root ? Role::computed : Role::view;
    case OpKind::movement:
      return is_root || is_data_indexed(node) ? Role::computed : Role::view;
    case OpKind::elementwise:
      return !is_root && (generated || widens(graph, node)) ? Role::view : Role::computed;
    case OpKind::reduction:
    case OpKind::join:
    case OpKind::whole:
      return Role::computed;
    case OpKind::state:
      return Role::dead;
  }
  PLAIT_UNREACHABLE("meta-op {}", name_of(node.op));
}

// A contraction reads its factors; their product is never a value.
std::vector<Value> operands_of(const Graph& graph, const Roles& roles, Value v) {
  if (const auto& contraction = roles.contractions[v]) {
    return {contraction->left, contraction->right};
  }
  return graph.node(v).operands;
}

// The values that `v` reads through views.
std::vector<Value> operands_through_views(const Graph& graph, const Roles& roles, Value v) {
  std::vector<Value> result, open = operands_of(graph, roles, v);
  while (!open.empty()) {
    const Value operand = open.back();
    open.pop_back();
    if (roles.role[operand] == Role::view) {
      const Node& node = graph.node(operand);
      open.insert(open.end(), node.operands.begin(), node.operands.end());
    } else if (std::find(result.begin(), result.end(), operand) == result.end()) {
      result.push_back(operand);
    }
  }
  std::sort(result.begin(), result.end());
  return result;
}

// The cost of computing v again from leaves that are kept; only one of them may be as large as v.
double recompute_cost(const Graph& graph, const Roles& roles, Value v) {
  const Node& node = graph.node(v);
  if (!is_elementwise(node.op)) return kNever;
  double cost = operation_cost(node);
  const double elements = estimated_elements(node.type.shape);
  std::vector<Value> large;
  std::vector<Value> open = roles.real_operands[v];
  for (size_t visits = 0; !open.empty(); ++visits) {
    if (visits > 32) return kNever;
    const Value operand = open.back();
    open.pop_back();
    if (roles.recompute_cost[operand] < kNever) {
      cost += operation_cost(graph.node(operand));
      const std::vector<Value>& below = roles.real_operands[operand];
      open.insert(open.end(), below.begin(), below.end());
    } else if (estimated_elements(graph.type(operand).shape) * 4 > elements &&
               std::find(large.begin(), large.end(), operand) == large.end()) {
      large.push_back(operand);
    }
  }
  return large.size() > 1 || cost > kMostRecompute ? kNever : cost;
}

}  // namespace

bool must_store(const Graph& graph, const Roles& roles, Value v) {
  if (roles.is_root[v]) return true;
  const std::vector<Value>& users = roles.real_users[v];
  return std::any_of(users.begin(), users.end(), [&](Value user) {
    return roles.contractions[user].has_value() || kind_of(graph.node(user).op) == OpKind::whole;
  });
}

double estimated_elements(const Shape& shape) {
  double elements = 1;
  for (Expr extent : shape)
    elements *= static_cast<double>(bounds(extent, {}).hi.value_or(1 << 20));
  return elements;
}

double operation_cost(const Node& node) {
  if (node.op == MetaOp::unary) return unary_cost(node.unary());
  if (node.op == MetaOp::binary) return binary_cost(node.binary());
  return 1;
}

Roles analyze_roles(const Graph& graph, std::vector<std::string>& log) {
  Roles roles;
  roles.role.assign(graph.size(), Role::dead);
  roles.contractions.resize(graph.size());
  roles.real_operands.resize(graph.size());
  roles.real_users.resize(graph.size());
  roles.recompute_cost.assign(graph.size(), kNever);
  roles.is_root.assign(graph.size(), false);
  for (const Output& output : graph.outputs()) roles.is_root[output.value] = true;
  for (Value v : graph.assigns()) roles.is_root[graph.node(v).operands[0]] = true;

  std::vector<bool> live = roles.is_root;
  for (size_t i = graph.size(); i-- > 0;) {
    const auto v = static_cast<Value>(i);
    if (!live[v]) continue;
    check_interrupt();
    std::string why;
    roles.contractions[v] = match_contraction(graph, v, &why);
    if (!why.empty()) log.push_back(why);
    for (Value operand : operands_of(graph, roles, v)) live[operand] = true;
  }

  Generated generated(graph);
  for (Value v = 0; v < graph.size(); ++v) {
    check_interrupt();
    const bool cheap = generated.cost(v) < kNever;
    if (!live[v]) continue;
    roles.role[v] = role_of(graph, graph.node(v), cheap, roles.is_root[v]);
    if (roles.role[v] != Role::computed) continue;
    roles.real_operands[v] = operands_through_views(graph, roles, v);
    for (Value operand : roles.real_operands[v]) roles.real_users[operand].push_back(v);
    if (!roles.is_root[v]) roles.recompute_cost[v] = recompute_cost(graph, roles, v);
  }
  return roles;
}

}  // namespace plait::fusion

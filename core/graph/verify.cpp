#include "core/graph/verify.h"

#include "core/error.h"
#include "core/rules/infer.h"

namespace plait {
namespace {

bool uses_function(MetaOp op) {
  return op == MetaOp::unary || op == MetaOp::binary || op == MetaOp::reduce ||
         op == MetaOp::scatter || op == MetaOp::scan;
}

bool uses_map(MetaOp op) { return op == MetaOp::reindex || op == MetaOp::scatter; }

bool uses_axes(MetaOp op) {
  return op == MetaOp::iota || op == MetaOp::broadcast || op == MetaOp::reduce ||
         op == MetaOp::concat || op == MetaOp::scan || op == MetaOp::sort;
}

bool uses_slot(MetaOp op) { return op == MetaOp::parameter || op == MetaOp::assign; }

// Stray attributes would keep equal nodes apart.
void check_attributes(Value v, const Node& node) {
  const Attributes& a = node.attributes;
  const MetaOp op = node.op;
  PLAIT_INTERNAL_CHECK(uses_function(op) || a.function == 0, "%{}: {} has a function", v,
                       name_of(op));
  PLAIT_INTERNAL_CHECK(!a.reverse || op == MetaOp::scan || op == MetaOp::sort,
                       "%{}: {} is reversed", v, name_of(op));
  PLAIT_INTERNAL_CHECK(!a.replace || (op == MetaOp::scatter && a.function == 0), "%{}: {} replaces",
                       v, name_of(op));
  PLAIT_INTERNAL_CHECK(uses_axes(op) || a.axes.empty(), "%{}: {} has axes", v, name_of(op));
  PLAIT_INTERNAL_CHECK(uses_map(op) || (a.map.empty() && a.out_of_range == OutOfRange::fill),
                       "%{}: {} has a map", v, name_of(op));
  PLAIT_INTERNAL_CHECK(
      op == MetaOp::reindex ? a.fill.dtype() == node.type.dtype : a.fill == Scalar(),
      "%{}: fill {} of {}", v, a.fill.to_string(), name_of(op));
  PLAIT_INTERNAL_CHECK(uses_slot(op) == (a.slot != nullptr), "%{}: slot of {}", v, name_of(op));
  PLAIT_INTERNAL_CHECK((op == MetaOp::constant) == (a.data != nullptr), "%{}: data of {}", v,
                       name_of(op));
  PLAIT_INTERNAL_CHECK(op == MetaOp::input || a.name.empty(), "%{}: {} has a name", v, name_of(op));
  PLAIT_INTERNAL_CHECK(op == MetaOp::random || a.salt == 0, "%{}: {} has a salt", v, name_of(op));
  PLAIT_INTERNAL_CHECK(op == MetaOp::size || a.size.is_constant(0), "%{}: {} has a size", v,
                       name_of(op));
}

// A broken rule is no mistake of the user's here.
Type type_by_rule(Value v, const Node& node, std::span<const Type> operands,
                  std::vector<SizeGuard>& guards) {
  try {
    return infer(node.op, operands, node.attributes, node.type, guards);
  } catch (const UserError& error) {
    PLAIT_UNREACHABLE("%{}: {}", v, error.what());
  }
}

}  // namespace

void verify(const Graph& graph) {
  std::vector<Type> operands;
  std::vector<SizeGuard> guards;
  for (Value v = 0; v < graph.size(); ++v) {
    const Node& node = graph.node(v);
    operands.clear();
    for (Value operand : node.operands) {
      PLAIT_INTERNAL_CHECK(operand < v, "%{}: {} reads %{}, which comes later", v, name_of(node.op),
                           operand);
      operands.push_back(graph.type(operand));
    }
    check_attributes(v, node);
    guards.clear();
    const Type type = type_by_rule(v, node, operands, guards);
    PLAIT_INTERNAL_CHECK(type == node.type, "%{}: {} has type {}, but the rule gives {}", v,
                         name_of(node.op), to_string(node.type), to_string(type));
  }
  for (const Output& output : graph.outputs()) {
    PLAIT_INTERNAL_CHECK(output.value < graph.size(), "output '{}' is %{} of {} nodes", output.name,
                         output.value, graph.size());
  }
}

}  // namespace plait

#include "core/graph/verify.h"

#include "core/error.h"
#include "core/interrupt.h"
#include "core/rules/infer.h"

namespace plait {
namespace {

// Stray attributes would keep equal nodes apart.
void check_attributes(Value v, const Node& node) {
  using enum AttributeField;
  const Attributes& a = node.attributes;
  const auto has = [op = node.op](auto... fields) { return has_attribute(op, {fields...}); };
  const auto check = [&](bool holds, const char* what) {
    PLAIT_INTERNAL_CHECK(holds, "%{}: {} {}", v, name_of(node.op), what);
  };
  check(has(unary_function, binary_function, reduce_function, reduce_function_or_replace) ||
            a.function == 0,
        "has a function");
  check(has(reverse, descending) || !a.reverse, "is reversed");
  check(!a.replace || (has(reduce_function_or_replace) && a.function == 0), "replaces");
  check(has(axis, axes) || a.axes.empty(), "has axes");
  check(has(map) || a.map.empty(), "has a map");
  check(has(out_of_range) || a.out_of_range == OutOfRange::fill, "reports bad indices");
  PLAIT_INTERNAL_CHECK(has(fill) ? a.fill.dtype() == node.type.dtype : a.fill == Scalar(),
                       "%{}: fill {} of {}", v, a.fill.to_string(), name_of(node.op));
  check(has(slot) == (a.slot != nullptr), "has a slot, or lacks it");
  check(has(data) == (a.data != nullptr), "has data, or lacks it");
  check(has(name) || a.name.empty(), "has a name");
  check(has(salt) || a.salt == 0, "has a salt");
  check(has(size) || a.size.is_constant(0), "has a size");
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
    check_interrupt();
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

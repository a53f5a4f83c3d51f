#include "python/lazy/emit.h"

#include <array>
#include <cstring>

#include "core/error.h"
#include "core/graph/build.h"
#include "ops/compose.h"
#include "ops/random.h"
#include "passes/gradients.h"
#include "python/lazy/call.h"

namespace plait::lazy {
namespace {

std::string numbered(const char* name, size_t number) { return name + std::to_string(number); }

std::vector<Type> types_of(const std::vector<Tensor>& tensors) {
  std::vector<Type> types;
  for (const Tensor& tensor : tensors) types.push_back(tensor.type());
  return types;
}

// The dtype that a number has beside the call's tensors.
DType dtype_beside(const Call& call) {
  DType dtype = DType::boolean;
  for (const Type& type : call.operand_types) dtype = promote(dtype, type.dtype);
  return promote_scalar(dtype, DType::f64);
}

// Equal nodes of a graph are one, but what gradients are by is not what happens to equal it: a
// select that the simplifier takes away, unlike all others.
Tensor set_apart(const Tensor& x, size_t number) {
  Graph& graph = *x.graph();
  std::array<std::byte, 8> bits{};
  std::memcpy(bits.data(), &number, sizeof(number));
  const Value never = meta::constant(graph, Scalar::load(x.dtype(), bits.data()));
  const Value always = meta::constant(graph, Scalar(DType::boolean, int64_t{1}));
  return {x.graph(), meta::select(graph, meta::broadcast_scalar(graph, always, x.shape()),
                                  x.value(), meta::broadcast_scalar(graph, never, x.shape()))};
}

}  // namespace

Emitter::Emitter(const Plan& plan, const std::vector<bool>& varying, bool captured)
    : plan_(plan), number_dtypes_(plan.numbers().size(), DType::f64) {
  for (const NodePtr& node : plan.nodes()) {
    if (node->kind != Kind::gradient) continue;
    for (size_t i = node->has_seed ? 2 : 1; i < node->operands.size(); ++i) {
      differentiated_.insert(node->operands[i].node.get());
    }
  }
  emit_inputs(captured);
  for (size_t i = 0; i < plan.nodes().size(); ++i) emit(i, varying);
  set_source_line({}, 0);
}

void Emitter::emit_inputs(bool captured) {
  for (size_t i = 0; i < plan_.inputs().size(); ++i) {
    const Ref& ref = plan_.inputs()[i];
    const Type& type = ref.type();
    if (ref.node->kind == Kind::placeholder) {
      inputs_.push_back(input(ref.node->name, type.dtype, type.shape));
    } else if (plan_.reads_slot(i)) {
      inputs_.emplace_back();  // added where it is used first, as C++ models do
    } else if (captured && ref.node->kind == Kind::array) {
      Tensor value = constant(ref.node->arrays[0]);
      if (differentiated_.contains(ref.node.get())) value = set_apart(value, apart_++);
      inputs_.push_back(std::move(value));
    } else {
      inputs_.push_back(input(numbered("input", i), type.dtype, type.shape));
    }
  }
}

Tensor Emitter::at(const Ref& ref) const {
  if (plan_.emits(ref)) return results_.at(ref.node.get())[ref.index];
  if (plan_.reads_slot(ref)) return parameter(ref.node->slot);
  return inputs_[plan_.input_number(ref)];
}

void Emitter::emit(size_t ordinal, const std::vector<bool>& varying) {
  const Node& node = *plan_.nodes()[ordinal];
  Scope scope(node.scope);
  set_source_line(node.file ? *node.file : std::string(), node.line);
  std::vector<Tensor> results;
  switch (node.kind) {
    case Kind::call:
      results = emit_call(ordinal, varying);
      break;
    case Kind::gradient:
      results = emit_gradient(node);
      break;
    case Kind::write: {
      OpScope op("write");
      const Tensor base = at(node.operands[0]), updates = at(node.operands[1]);
      Graph& graph = *base.graph();
      results = {{base.graph(), meta::scatter_replace(graph, base.value(),
                                                      detail::value_in(graph, updates), node.map)}};
      break;
    }
    case Kind::array:
    case Kind::slot:
    case Kind::placeholder:
      PLAIT_UNREACHABLE("memory is not emitted");
  }
  if (plan_.blocks_gradients(node)) {
    for (Tensor& result : results) {
      result = {result.graph(), meta::detach(*result.graph(), result.value())};
    }
  }
  if (differentiated_.contains(&node)) {
    for (Tensor& result : results) {
      if (is_float(result.dtype())) result = set_apart(result, apart_++);
    }
  }
  results_.emplace(&node, std::move(results));
}

std::vector<Tensor> Emitter::emit_call(size_t ordinal, const std::vector<bool>& varying) {
  const Node& node = *plan_.nodes()[ordinal];
  std::vector<Tensor> operands;
  for (const Ref& operand : node.operands) operands.push_back(at(operand));
  std::vector<Argument> arguments = to_arguments(*node.call, operands);
  std::optional<size_t> replaced;
  for (size_t argument : node.call->numbers) {
    const size_t number = next_number_++;
    if (varying.empty() || !varying[number]) continue;
    number_dtypes_[number] = dtype_beside(*node.call);
    arguments[argument] = input(numbered("number", number), number_dtypes_[number], {});
    replaced = number;
  }
  if (!replaced) {
    if (node.key.buffer) return emit_draw(node);
    return node.call->record->composition(arguments);
  }
  try {
    std::vector<Tensor> results = node.call->record->composition(arguments);
    if (types_of(results) == node.types) return results;
  } catch (const UserError&) {
  }
  throw FixedNumber{*replaced};
}

// A draw reads the key that its call took, and is counted within the call, so a value that is
// computed again is the same.
std::vector<Tensor> Emitter::emit_draw(const Node& node) {
  const Graph& own = *node.call->drawing;
  const std::shared_ptr<Graph> graph = current_graph();
  const Tensor key = input(numbered("key", next_draw_++), DType::i64, {2});
  Scope scope(node.call->record->name());
  std::vector<Value> map;
  for (Value v = 0; v < own.size(); ++v) {
    const plait::Node& from = own.node(v);
    if (from.op == MetaOp::input) {
      const Tensor operand = at(node.operands[std::stoul(from.attributes.name)]);
      map.push_back(detail::value_in(*graph, operand));
    } else if (from.op == MetaOp::parameter && from.attributes.slot == random_state()) {
      map.push_back(key.value());
    } else {
      std::vector<Value> operands;
      for (Value operand : from.operands) operands.push_back(map[operand]);
      map.push_back(graph->add(from.op, std::move(operands), from.attributes, from.type));
    }
  }
  std::vector<Tensor> results;
  for (Value v : node.call->drawn) results.emplace_back(graph, map[v]);
  return results;
}

std::vector<Tensor> Emitter::emit_gradient(const Node& node) {
  const Tensor loss = at(node.operands[0]);
  Graph& graph = *loss.graph();
  const size_t first = node.has_seed ? 2 : 1;
  const Value seed = node.has_seed ? detail::value_in(graph, at(node.operands[1])) : kNoValue;
  std::vector<Value> wrt;
  for (size_t i = first; i < node.operands.size(); ++i) {
    wrt.push_back(detail::value_in(graph, at(node.operands[i])));
  }
  std::vector<Tensor> results;
  for (Value v : gradients(graph, loss.value(), wrt, seed)) {
    results.emplace_back(loss.graph(), v);
  }
  return results;
}

}  // namespace plait::lazy

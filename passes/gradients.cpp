#include "passes/gradients.h"

#include <optional>

#include "core/error.h"
#include "core/graph/build.h"
#include "core/interrupt.h"
#include "core/rules/grad.h"

namespace plait {
namespace {

void check(const Graph& graph, Value loss, std::span<const Value> wrt, Value seed) {
  const Type& type = graph.type(loss);
  PLAIT_CHECK(is_float(type.dtype), "gradients",
              "the loss must be a float scalar; got {}; dtype {} is no float. hint: cast it",
              to_string(type), dtype_name(type.dtype));
  PLAIT_CHECK(seed != kNoValue || type.rank() == 0, "gradients",
              "the loss must be a float scalar; got {}; rank {} != 0. hint: take its sum or mean, "
              "or pass a seed of its type",
              to_string(type), type.rank());
  PLAIT_CHECK(seed == kNoValue || graph.type(seed) == type, "gradients",
              "the seed must have the loss's type; got seed: {}, loss: {}",
              to_string(graph.type(seed)), to_string(type));
  for (size_t i = 0; i < wrt.size(); ++i) {
    PLAIT_CHECK(is_float(graph.type(wrt[i]).dtype), "gradients",
                "only floats have gradients; got {} for value {} of {}. hint: cast it before use",
                to_string(graph.type(wrt[i])), i, wrt.size());
  }
}

// Nodes that the gradient has to pass: they depend on a `wrt` through floats.
std::vector<bool> depends_on(const Graph& graph, Value loss, std::span<const Value> wrt) {
  std::vector<bool> depends(static_cast<size_t>(loss) + 1, false);
  for (Value v : wrt) {
    if (v <= loss) depends[v] = true;
  }
  for (Value v = 0; v <= loss; ++v) {
    const Node& node = graph.node(v);
    if (!is_float(node.type.dtype) || node.op == MetaOp::detach) continue;
    for (Value operand : node.operands) {
      if (depends[operand]) depends[v] = true;
    }
  }
  return depends;
}

// The scope of a node, relative to the present one.
std::string scope_of(const Graph& graph, Value v) {
  const auto origins = graph.origins(v);
  if (origins.empty()) return {};
  const std::string prefix = Scope::path() + "/";
  const std::string& scope = origins[0].scope;
  return scope.starts_with(prefix) ? scope.substr(prefix.size()) : scope;
}

// Cotangents have their values' lines; nodes behind them, however this ends, do not.
struct LinesOfValues {
  ~LinesOfValues() { set_source_line({}, 0); }
};

}  // namespace

std::vector<Value> gradients(Graph& graph, Value loss, std::span<const Value> wrt, Value seed) {
  check(graph, loss, wrt, seed);
  const std::vector<bool> depends = depends_on(graph, loss, wrt);
  std::vector<Value> cotangents(static_cast<size_t>(loss) + 1, kNoValue);
  cotangents[loss] = seed != kNoValue ? seed : meta::scalar_like(graph, loss, 1);
  std::optional<LinesOfValues> lines(std::in_place);
  for (size_t i = cotangents.size(); i-- > 0;) {
    const auto v = static_cast<Value>(i);
    if (cotangents[v] == kNoValue || !depends[v]) continue;
    check_interrupt();
    const Scope scope(scope_of(graph, v));
    if (const auto origins = graph.origins(v); !origins.empty()) {
      set_source_line(origins[0].file, origins[0].line);
    }
    const std::vector<Value> operands = graph.node(v).operands;
    const std::vector<Value> contributions = grad(graph, v, cotangents[v]);
    for (size_t k = 0; k < operands.size(); ++k) {
      if (contributions[k] == kNoValue || !depends[operands[k]]) continue;
      Value& total = cotangents[operands[k]];
      total = total == kNoValue ? contributions[k]
                                : meta::binary(graph, BinaryOp::add, total, contributions[k]);
    }
  }
  lines.reset();
  std::vector<Value> result;
  for (Value v : wrt) {
    const Value g = v <= loss ? cotangents[v] : kNoValue;
    result.push_back(g != kNoValue ? g : meta::scalar_like(graph, v, 0));
  }
  return result;
}

}  // namespace plait

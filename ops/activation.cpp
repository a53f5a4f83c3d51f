// Activations and softmax.
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {

Tensor relu(const Tensor& input) {
  OpScope op("relu");
  // A select, not a maximum: the gradient at 0 is 0. NaN stays NaN.
  const Tensor zero = detail::full_like(input, 0.0);
  const Tensor off = detail::binary(BinaryOp::le, input, zero);
  Graph& graph = *input.graph();
  return {input.graph(), meta::select(graph, off.value(), zero.value(), input.value())};
}

std::vector<OpRecord> activation_ops() {
  return {
      {
          .signature = "relu(Tensor input) -> Tensor",
          .doc = "max(input, 0). The gradient at 0 is 0.",
          .composition = compose<&relu>,
          .oracle = "np.maximum(input, 0)",
          .samples = {"(randn(3, 5),)", "(full((2, 3), 0.0),)"},
      },
  };
}

}  // namespace plait

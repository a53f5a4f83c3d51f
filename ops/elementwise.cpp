// Elementwise functions of one or two tensors.
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {

Tensor exp(const Tensor& input) {
  OpScope op("exp");
  return detail::unary(UnaryOp::exp, detail::to_float(input));
}

Tensor mul(const Operand& input, const Operand& other) {
  OpScope op("mul");
  return detail::binary(BinaryOp::mul, input, other);
}

std::vector<OpRecord> elementwise_ops() {
  return {
      {
          .signature = "exp(Tensor input) -> Tensor",
          .doc = "e to the power of each element. Integers and bools become f32.",
          .composition = compose<&exp>,
          .oracle = "np.exp(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)"},
      },
      {
          .signature = "mul(Operand input, Operand other) -> Tensor",
          .doc = "The product, with numpy's broadcasting and PyTorch's promotion.",
          .composition = compose<&mul>,
          .oracle = "input * other",
          .samples = {"(randn(3, 5), randn(5))", "(randn(2, 1, 4), randn(3, 1))",
                      "(randn(7), 2.5)"},
      },
  };
}

}  // namespace plait

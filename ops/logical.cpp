// Comparisons, logic, bits, and choosing by a condition.
#include "core/error.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

// True where unequal to 0.
Tensor truth(const Operand& x) {
  const Tensor tensor =
      x.is_tensor() ? x.tensor() : detail::as_tensor(current_graph(), x, x.number_dtype());
  return detail::cast_to(tensor, DType::boolean);
}

Tensor shift(BinaryOp op, const Operand& input, const Operand& other) {
  return detail::binary(op, input, other);
}

}  // namespace

Tensor eq(const Operand& input, const Operand& other) {
  OpScope op("eq");
  return detail::binary(BinaryOp::eq, input, other);
}

Tensor ne(const Operand& input, const Operand& other) {
  OpScope op("ne");
  return detail::binary(BinaryOp::ne, input, other);
}

Tensor lt(const Operand& input, const Operand& other) {
  OpScope op("lt");
  return detail::binary(BinaryOp::lt, input, other);
}

Tensor le(const Operand& input, const Operand& other) {
  OpScope op("le");
  return detail::binary(BinaryOp::le, input, other);
}

Tensor gt(const Operand& input, const Operand& other) {
  OpScope op("gt");
  return detail::binary(BinaryOp::lt, other, input);
}

Tensor ge(const Operand& input, const Operand& other) {
  OpScope op("ge");
  return detail::binary(BinaryOp::le, other, input);
}

Tensor logical_and(const Operand& input, const Operand& other) {
  OpScope op("logical_and");
  return detail::binary(BinaryOp::bit_and, truth(input), truth(other));
}

Tensor logical_or(const Operand& input, const Operand& other) {
  OpScope op("logical_or");
  return detail::binary(BinaryOp::bit_or, truth(input), truth(other));
}

Tensor logical_xor(const Operand& input, const Operand& other) {
  OpScope op("logical_xor");
  return detail::binary(BinaryOp::bit_xor, truth(input), truth(other));
}

Tensor logical_not(const Tensor& input) {
  OpScope op("logical_not");
  return detail::unary(UnaryOp::logical_not, truth(input));
}

Tensor bitwise_and(const Operand& input, const Operand& other) {
  OpScope op("bitwise_and");
  return detail::binary(BinaryOp::bit_and, input, other);
}

Tensor bitwise_or(const Operand& input, const Operand& other) {
  OpScope op("bitwise_or");
  return detail::binary(BinaryOp::bit_or, input, other);
}

Tensor bitwise_xor(const Operand& input, const Operand& other) {
  OpScope op("bitwise_xor");
  return detail::binary(BinaryOp::bit_xor, input, other);
}

Tensor bitwise_not(const Tensor& input) {
  OpScope op("bitwise_not");
  const bool boolean = input.defined() && input.dtype() == DType::boolean;
  return detail::unary(boolean ? UnaryOp::logical_not : UnaryOp::bitwise_not, input);
}

Tensor bitwise_left_shift(const Operand& input, const Operand& other) {
  OpScope op("bitwise_left_shift");
  return shift(BinaryOp::shift_left, input, other);
}

Tensor bitwise_right_shift(const Operand& input, const Operand& other) {
  OpScope op("bitwise_right_shift");
  return shift(BinaryOp::shift_right, input, other);
}

Tensor where(const Tensor& condition, const Operand& input, const Operand& other) {
  OpScope op("where");
  const std::shared_ptr<Graph> graph = detail::graph_of({&condition});
  PLAIT_CHECK(condition.dtype() == DType::boolean, detail::op_name(),
              "the condition must be bool; got {}. hint: compare it, as in ne(condition, 0)",
              to_string(condition.type()));
  Operand yes_or_number = input;
  if (!input.is_tensor() && !other.is_tensor()) {
    const DType dtype =
        promote_scalar(promote_scalar(DType::boolean, input.number_dtype()), other.number_dtype());
    yes_or_number = detail::as_tensor(graph, input, dtype);
  }
  const detail::Pair pair = detail::promote_and_broadcast(yes_or_number, other);
  const std::shared_ptr<Graph> common = detail::graph_of({&condition, &pair.a});
  const Tensor test = detail::tensor_in(common, condition);
  const Tensor yes = detail::tensor_in(common, pair.a);
  const Tensor no = detail::tensor_in(common, pair.b);
  detail::check_strict_broadcast(test, yes);
  const Shape shape = detail::broadcast_shapes(test.shape(), yes.shape(), test, yes);
  return detail::select(detail::broadcast_to_shape(test, shape),
                        detail::broadcast_to_shape(yes, shape),
                        detail::broadcast_to_shape(no, shape));
}

std::vector<OpRecord> logical_ops() {
  return {
      {
          .signature = "eq(Operand input, Operand other) -> Tensor",
          .doc = "True where equal; NaN equals nothing. Bool, with broadcasting.",
          .composition = compose<&eq>,
          .oracle = "np.equal(input, other)",
          .samples = {"(randint(0, 3, 3, 5), randint(0, 3, 5))", "(arange(5), 2)",
                      "(array([nan, 1.0]), array([nan, 1.0]))", "(randn(0, 3), 0.0)"},
          .differentiable = false,
      },
      {
          .signature = "ne(Operand input, Operand other) -> Tensor",
          .doc = "True where unequal; NaN differs from everything. Bool, with broadcasting.",
          .composition = compose<&ne>,
          .oracle = "np.not_equal(input, other)",
          .samples = {"(randint(0, 3, 3, 5), randint(0, 3, 5))", "(arange(5), 2)",
                      "(array([nan, 1.0]), array([nan, 1.0]))", "(randn(0, 3), 0.0)"},
          .differentiable = false,
      },
      {
          .signature = "lt(Operand input, Operand other) -> Tensor",
          .doc = "True where input < other; False for NaN. Bool, with broadcasting.",
          .composition = compose<&lt>,
          .oracle = "np.less(input, other)",
          .samples = {"(randn(3, 5), randn(5))", "(arange(5), 2)", "(arange(5), 2.5)",
                      "(array([nan, 1.0]), array([nan, 1.0]))", "(randn(0, 3), 0.0)"},
          .differentiable = false,
      },
      {
          .signature = "le(Operand input, Operand other) -> Tensor",
          .doc = "True where input <= other; False for NaN. Bool, with broadcasting.",
          .composition = compose<&le>,
          .oracle = "np.less_equal(input, other)",
          .samples = {"(randn(3, 5), randn(5))", "(arange(5), 2)",
                      "(array([nan, 1.0]), array([nan, 1.0]))", "(randn(0, 3), 0.0)"},
          .differentiable = false,
      },
      {
          .signature = "gt(Operand input, Operand other) -> Tensor",
          .doc = "True where input > other; False for NaN. Bool, with broadcasting.",
          .composition = compose<&gt>,
          .oracle = "np.greater(input, other)",
          .samples = {"(randn(3, 5), randn(5))", "(arange(5), 2)",
                      "(array([nan, 1.0]), array([nan, 1.0]))", "(randn(0, 3), 0.0)"},
          .differentiable = false,
      },
      {
          .signature = "ge(Operand input, Operand other) -> Tensor",
          .doc = "True where input >= other; False for NaN. Bool, with broadcasting.",
          .composition = compose<&ge>,
          .oracle = "np.greater_equal(input, other)",
          .samples = {"(randn(3, 5), randn(5))", "(arange(5), 2)",
                      "(array([nan, 1.0]), array([nan, 1.0]))", "(randn(0, 3), 0.0)"},
          .differentiable = false,
      },
      {
          .signature = "logical_and(Operand input, Operand other) -> Tensor",
          .doc = "True where both are unequal to 0. Bool, with broadcasting.",
          .composition = compose<&logical_and>,
          .oracle = "np.logical_and(input, other)",
          .samples = {"(array([0, 1, 2]), array([1, 0, 3]))", "(array([0.0, nan, 1.0]), True)",
                      "(randn(0, 3), randn(3))"},
          .differentiable = false,
      },
      {
          .signature = "logical_or(Operand input, Operand other) -> Tensor",
          .doc = "True where one is unequal to 0. Bool, with broadcasting.",
          .composition = compose<&logical_or>,
          .oracle = "np.logical_or(input, other)",
          .samples = {"(array([0, 1, 0]), array([1, 0, 0]))", "(array([0.0, nan, 1.0]), False)",
                      "(randn(0, 3), randn(3))"},
          .differentiable = false,
      },
      {
          .signature = "logical_xor(Operand input, Operand other) -> Tensor",
          .doc = "True where exactly one is unequal to 0. Bool, with broadcasting.",
          .composition = compose<&logical_xor>,
          .oracle = "np.logical_xor(input, other)",
          .samples = {"(array([0, 1, 2]), array([1, 0, 3]))", "(array([0.0, nan, 1.0]), True)",
                      "(randn(0, 3), randn(3))"},
          .differentiable = false,
      },
      {
          .signature = "logical_not(Tensor input) -> Tensor",
          .doc = "True where 0. Bool.",
          .composition = compose<&logical_not>,
          .oracle = "np.logical_not(input)",
          .samples = {"(array([0, 1, 2]),)", "(array([0.0, -0.0, nan]),)", "(randn(0, 3),)",
                      "(array(True),)"},
          .differentiable = false,
      },
      {
          .signature = "bitwise_and(Operand input, Operand other) -> Tensor",
          .doc = "Bit by bit `and` of integers or bools, with broadcasting.",
          .composition = compose<&bitwise_and>,
          .oracle = "np.bitwise_and(input, other)",
          .samples = {"(arange(-4, 5), 6)", "(arange(3), arange(3))",
                      "(randint(-99, 99, 5), randint(-99, 99, 3, 5))",
                      "(array([True, False]), array([True, True]))"},
          .differentiable = false,
      },
      {
          .signature = "bitwise_or(Operand input, Operand other) -> Tensor",
          .doc = "Bit by bit `or` of integers or bools, with broadcasting.",
          .composition = compose<&bitwise_or>,
          .oracle = "np.bitwise_or(input, other)",
          .samples = {"(arange(-4, 5), 6)", "(arange(3), arange(3))",
                      "(randint(-99, 99, 5), randint(-99, 99, 3, 5))",
                      "(array([True, False]), array([True, True]))"},
          .differentiable = false,
      },
      {
          .signature = "bitwise_xor(Operand input, Operand other) -> Tensor",
          .doc = "Bit by bit `xor` of integers or bools, with broadcasting.",
          .composition = compose<&bitwise_xor>,
          .oracle = "np.bitwise_xor(input, other)",
          .samples = {"(arange(-4, 5), 6)", "(arange(3), arange(3))",
                      "(randint(-99, 99, 5), randint(-99, 99, 3, 5))",
                      "(array([True, False]), array([True, True]))"},
          .differentiable = false,
      },
      {
          .signature = "bitwise_not(Tensor input) -> Tensor",
          .doc = "All bits turned, of integers; `not` of bools.",
          .composition = compose<&bitwise_not>,
          .oracle = "np.bitwise_not(input)",
          .samples = {"(arange(-4, 5),)", "(array([True, False]),)", "(randint(-99, 99, 3, 5),)"},
          .differentiable = false,
      },
      {
          .signature = "bitwise_left_shift(Operand input, Operand other) -> Tensor",
          .doc = "input * 2^other of integers; bits that leave are lost.",
          .composition = compose<&bitwise_left_shift>,
          .oracle = "np.left_shift(input, other)",
          .samples = {"(arange(-4, 5), 3)", "(arange(3), arange(3))",
                      "(randint(-99, 99, 3, 5), randint(0, 9, 5))"},
          .differentiable = false,
      },
      {
          .signature = "bitwise_right_shift(Operand input, Operand other) -> Tensor",
          .doc = "input / 2^other rounded down, of integers.",
          .composition = compose<&bitwise_right_shift>,
          .oracle = "np.right_shift(input, other)",
          .samples = {"(arange(-40, 50, 7), 3)", "(arange(3), arange(3))",
                      "(randint(-99, 99, 3, 5), randint(0, 9, 5))"},
          .differentiable = false,
      },
      {
          .signature = "where(Tensor condition, Operand input, Operand other) -> Tensor",
          .doc = "input where the condition (bool) holds, else other; all three broadcast. What is "
                 "not chosen receives the gradient 0.",
          .composition = compose<&where>,
          .oracle = "np.where(condition, input, other)",
          .samples = {"(randn(3, 5) > 0, randn(3, 5), randn(5))", "(randn(4) > 0, randn(4), 0.0)",
                      "(randn(3, 1) > 0, randn(5), randn(5))", "(randn(3) > 0, 1.0, 0.0)",
                      "(randn(0) > 0, randn(0), 1.0)", "(randn(3) > 0, arange(3), 0)"},
      },
  };
}

}  // namespace plait

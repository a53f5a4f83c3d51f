// Tensors made from sizes and numbers.
#include <cmath>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

using detail::op_name;

void check_sizes(const Shape& size) {
  for (Expr extent : size) {
    PLAIT_CHECK(prove_less(extent, 0, {}) != true, op_name(), "sizes must not be negative; got {}",
                to_string(size));
  }
}

Tensor filled(const std::shared_ptr<Graph>& graph, const Shape& size, const Operand& value,
              DType dtype) {
  check_sizes(size);
  const Tensor scalar = detail::as_tensor(graph, value, dtype);
  PLAIT_CHECK(scalar.rank() == 0, op_name(), "fill_value must be a number or of rank 0; got {}",
              to_string(scalar.type()));
  return detail::broadcast_to_shape(detail::cast_to(scalar, dtype), size);
}

// PyTorch's default for a number: f32, i64 or bool.
DType default_dtype(const Operand& value) {
  if (value.is_tensor()) return value.tensor().dtype();
  return value.number_dtype() == DType::f64 ? DType::f32 : value.number_dtype();
}

Expr arange_length(const Operand& start, const Operand& end, const Operand& step) {
  const bool symbolic = start.is_size() || end.is_size();
  const bool whole = start.number_dtype() != DType::f64 && end.number_dtype() != DType::f64 &&
                     step.number_dtype() != DType::f64;
  if (symbolic || whole) {
    PLAIT_CHECK(whole, op_name(), "beside a symbolic size all numbers must be integers");
    const Expr first = start.is_size() ? start.size() : Expr(start.number().as_int());
    const Expr last = end.is_size() ? end.size() : Expr(end.number().as_int());
    const int64_t by = step.number().as_int();
    const Expr distance = by > 0 ? last - first : first - last;
    return simplify(max(ceil_div(distance, by > 0 ? by : -by), 0), {});
  }
  const double length = std::ceil((end.number().as_double() - start.number().as_double()) /
                                  step.number().as_double());
  PLAIT_CHECK(std::isfinite(length), op_name(), "the numbers must be finite");
  return static_cast<int64_t>(std::fmax(length, 0.0));
}

}  // namespace

Tensor full(const Shape& size, const Operand& fill_value, std::optional<DType> dtype) {
  OpScope op("full");
  const std::shared_ptr<Graph> graph =
      fill_value.is_tensor() ? detail::graph_of({&fill_value.tensor()}) : current_graph();
  return filled(graph, size, fill_value, dtype.value_or(default_dtype(fill_value)));
}

Tensor zeros(const Shape& size, DType dtype) {
  OpScope op("zeros");
  return filled(current_graph(), size, 0, dtype);
}

Tensor ones(const Shape& size, DType dtype) {
  OpScope op("ones");
  return filled(current_graph(), size, 1, dtype);
}

Tensor full_like(const Tensor& input, const Operand& fill_value, std::optional<DType> dtype) {
  OpScope op("full_like");
  const std::shared_ptr<Graph> graph = detail::graph_of({&input});
  return filled(graph, input.shape(), fill_value, dtype.value_or(input.dtype()));
}

Tensor zeros_like(const Tensor& input, std::optional<DType> dtype) {
  OpScope op("zeros_like");
  return full_like(input, 0, dtype);
}

Tensor ones_like(const Tensor& input, std::optional<DType> dtype) {
  OpScope op("ones_like");
  return full_like(input, 1, dtype);
}

Tensor arange(const Operand& start, const std::optional<Operand>& end, const Operand& step,
              std::optional<DType> dtype) {
  OpScope op("arange");
  const Operand first = end ? start : Operand(0);
  const Operand last = end ? *end : start;
  PLAIT_CHECK(!first.is_tensor() && !last.is_tensor() && !step.is_tensor() && !step.is_size(),
              op_name(), "start, end and step must be numbers or sizes");
  PLAIT_CHECK(step.number().as_double() != 0, op_name(), "step must not be 0");
  const Expr length = arange_length(first, last, step);
  const bool whole = first.number_dtype() != DType::f64 && last.number_dtype() != DType::f64 &&
                     step.number_dtype() != DType::f64;
  const DType result = dtype.value_or(whole ? DType::i64 : DType::f32);
  // Integers are counted in the result's own type; floats in f64, rounded once.
  const DType exact = whole && is_integer(result) ? result : whole ? DType::i64 : DType::f64;
  const std::shared_ptr<Graph> graph = current_graph();
  Tensor x = detail::iota(graph, {length}, 0, exact);
  if (step.number().as_double() != 1.0) x = mul(x, detail::as_tensor(graph, step, exact));
  const bool from_zero = !first.is_size() && first.number().as_double() == 0.0;
  if (!from_zero) x = add(x, detail::as_tensor(graph, first, exact));
  return detail::cast_to(x, result);
}

Tensor linspace(double start, double end, int64_t steps, DType dtype) {
  OpScope op("linspace");
  PLAIT_CHECK(steps >= 0, op_name(), "steps must not be negative; got {}", steps);
  if (steps == 1) return full({1}, start, dtype);
  // From the nearer end, so that both ends are met exactly.
  const double step = steps > 1 ? (end - start) / static_cast<double>(steps - 1) : 0.0;
  const Tensor i = detail::iota(current_graph(), {steps}, 0, DType::f64);
  const Tensor rising = add(mul(i, step), start);
  const Tensor falling = sub(end, mul(sub(static_cast<double>(steps - 1), i), step));
  return detail::cast_to(where(lt(i, static_cast<double>(steps) / 2), rising, falling), dtype);
}

Tensor eye(Expr n, std::optional<Expr> m, DType dtype) {
  OpScope op("eye");
  const Shape shape = {n, m.value_or(n)};
  check_sizes(shape);
  const DType index = detail::index_dtype(shape[0] + shape[1]);
  const Tensor row = detail::iota(current_graph(), shape, 0, index);
  const Tensor column = detail::iota(current_graph(), shape, 1, index);
  return detail::cast_to(eq(row, column), dtype);
}

std::vector<OpRecord> creation_ops() {
  return {
      {
          .signature = "full(Shape size, Operand fill_value, *, DType? dtype=None) -> Tensor",
          .doc = "One number everywhere. Without `dtype`: f32, i64 or bool, by the number.",
          .composition = compose<&full>,
          .oracle = "np.full(size, fill_value, dtype)",
          .samples = {"([3, 5], 2.5)", "([7], 3)", "([], 1.0)", "([0, 3], True)",
                      "([2], 3, dtype=f32)"},
          .differentiable = false,
      },
      {
          .signature = "zeros(Shape size, *, DType dtype=f32) -> Tensor",
          .doc = "Zeros.",
          .composition = compose<&zeros>,
          .oracle = "np.zeros(size, dtype)",
          .samples = {"([3, 5],)", "([],)", "([0, 3], dtype=i64)"},
          .differentiable = false,
      },
      {
          .signature = "ones(Shape size, *, DType dtype=f32) -> Tensor",
          .doc = "Ones.",
          .composition = compose<&ones>,
          .oracle = "np.ones(size, dtype)",
          .samples = {"([3, 5],)", "([],)", "([0, 3], dtype=boolean)"},
          .differentiable = false,
      },
      {
          .signature = "full_like(Tensor input, Operand fill_value, *, DType? dtype=None) -> "
                       "Tensor",
          .doc = "One number in the shape, and without `dtype` in the dtype, of input.",
          .composition = compose<&full_like>,
          .oracle = "np.full_like(input, fill_value, dtype)",
          .samples = {"(randn(3, 5), 2.5)", "(arange(4), 2)", "(randn(0), 1.0)"},
          .differentiable = false,
      },
      {
          .signature = "zeros_like(Tensor input, *, DType? dtype=None) -> Tensor",
          .doc = "Zeros in the shape, and without `dtype` in the dtype, of input.",
          .composition = compose<&zeros_like>,
          .oracle = "np.zeros_like(input, dtype)",
          .samples = {"(randn(3, 5),)", "(arange(4),)", "(randn(0), dtype=i32)"},
          .differentiable = false,
      },
      {
          .signature = "ones_like(Tensor input, *, DType? dtype=None) -> Tensor",
          .doc = "Ones in the shape, and without `dtype` in the dtype, of input.",
          .composition = compose<&ones_like>,
          .oracle = "np.ones_like(input, dtype)",
          .samples = {"(randn(3, 5),)", "(arange(4),)", "(randn(0), dtype=i32)"},
          .differentiable = false,
      },
      {
          .signature = "arange(Operand start, Operand? end=None, Operand step=1, *, DType? "
                       "dtype=None) -> Tensor",
          .doc = "start, start + step, … below end; arange(n) counts from 0 to n - 1. i64 of "
                 "integers and sizes, else f32. A symbolic size may stand for start and end.",
          .composition = compose<&arange>,
          .oracle = "np.arange(*((0, start) if end is None else (start, end)), step, dtype)",
          .samples = {"(7,)", "(2, 9, 3)", "(5, 0, -2)", "(0.0, 1.0, 0.25)", "(0,)",
                      "(5, dtype=f32)", "(3, 3)"},
          .differentiable = false,
      },
      {
          .signature = "linspace(float start, float end, int steps, *, DType dtype=f32) -> Tensor",
          .doc = "`steps` evenly spaced numbers, both ends included.",
          .composition = compose<&linspace>,
          .oracle = "np.linspace(start, end, steps)",
          .samples = {"(0.0, 1.0, 7)", "(3.0, -2.0, 4)", "(1.0, 2.0, 1)", "(1.0, 2.0, 0)"},
          .differentiable = false,
      },
      {
          .signature = "eye(Size n, Size? m=None, *, DType dtype=f32) -> Tensor",
          .doc = "The identity matrix, n by m.",
          .composition = compose<&eye>,
          .oracle = "np.eye(n, m, dtype=dtype)",
          .samples = {"(3,)", "(2, 5)", "(0,)", "(3, dtype=i64)"},
          .differentiable = false,
      },
  };
}

}  // namespace plait

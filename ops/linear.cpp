// Matrix products: reduce(sum, broadcast(a) * broadcast(b)) over (batch…, m, n, k).
#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/contraction.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {

namespace detail {

Tensor contract(const Tensor& a, std::vector<int64_t> a_axes, const Tensor& b,
                std::vector<int64_t> b_axes, const Shape& space, int64_t reduced) {
  PLAIT_CHECK(a.dtype() != DType::boolean, op_name(),
              "bools have no products to sum; got a: {}, b: {}. hint: cast them first",
              to_string(a.type()), to_string(b.type()));
  const DType dtype = compute_type(a.dtype());
  const Tensor left = broadcast(cast_to(a, dtype), space, std::move(a_axes));
  const Tensor right = broadcast(cast_to(b, dtype), space, std::move(b_axes));
  std::vector<int64_t> axes;
  const auto rank = static_cast<int64_t>(space.size());
  for (int64_t i = rank - reduced; i < rank; ++i) axes.push_back(i);
  return reduce(ReduceOp::sum, binary(BinaryOp::mul, left, right), axes, false);
}

}  // namespace detail

namespace {

using detail::op_name;

// Both tensors in one graph and dtype, shapes untouched.
detail::Pair promote_pair(const Tensor& a, const Tensor& b) {
  const std::shared_ptr<Graph> graph = detail::graph_of({&a, &b});
  const DType dtype = promote(a.dtype(), b.dtype());
  return {detail::cast_to(detail::tensor_in(graph, a), dtype),
          detail::cast_to(detail::tensor_in(graph, b), dtype)};
}

void check_inner(const Tensor& a, int64_t a_axis, const Tensor& b, int64_t b_axis) {
  const Expr x = a.shape()[a_axis];
  const Expr y = b.shape()[b_axis];
  PLAIT_CHECK(prove_equal(x, y, {}) != false, op_name(),
              "inner sizes must agree; got a: {}, b: {}; axis {} of a and axis {} of b: {} != {}. "
              "hint: transpose one of them",
              to_string(a.type()), to_string(b.type()), a_axis, b_axis, to_string(x), to_string(y));
}

// Axes of a matrix operand whose `batch` leading axes align at the end of `batches` axes.
std::vector<int64_t> matrix_axes(int64_t batch, int64_t batches, std::vector<int64_t> last) {
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < batch; ++i) axes.push_back(batches - batch + i);
  axes.insert(axes.end(), last.begin(), last.end());
  return axes;
}

void check_rank(const Tensor& x, int64_t rank, std::string_view argument) {
  detail::graph_of({&x});
  PLAIT_CHECK(x.rank() == rank, op_name(), "{} must have {} dims; got {}", argument, rank,
              to_string(x.type()));
}

// A product of any ranks, in the compute type.
Tensor matmul_wide(const Tensor& a, const Tensor& b) {
  PLAIT_CHECK(a.rank() >= 1 && b.rank() >= 1, op_name(),
              "at least one dim is needed; got a: {}, b: {}. hint: multiply scalars with mul",
              to_string(a.type()), to_string(b.type()));
  const bool has_m = a.rank() >= 2;
  const bool has_n = b.rank() >= 2;
  check_inner(a, a.rank() - 1, b, has_n ? b.rank() - 2 : 0);
  const int64_t a_batch = has_m ? a.rank() - 2 : 0;
  const int64_t b_batch = has_n ? b.rank() - 2 : 0;
  const int64_t batches = std::max(a_batch, b_batch);
  Shape space(batches, Expr(1));
  for (int64_t i = 0; i < batches; ++i) {
    const int64_t in_a = i - (batches - a_batch);
    const int64_t in_b = i - (batches - b_batch);
    space[i] = detail::broadcast_size(in_a < 0 ? Expr(1) : a.shape()[in_a],
                                      in_b < 0 ? Expr(1) : b.shape()[in_b], i, a, b);
  }
  int64_t next = batches;
  std::vector<int64_t> a_last;
  std::vector<int64_t> b_last;
  if (has_m) {
    space.push_back(a.shape()[a.rank() - 2]);
    a_last.push_back(next++);
  }
  if (has_n) {
    space.push_back(b.shape()[b.rank() - 1]);
    b_last.push_back(next++);
  }
  space.push_back(a.shape()[a.rank() - 1]);
  a_last.push_back(next);
  b_last.push_back(next);
  return detail::contract(a, matrix_axes(a_batch, batches, a_last),
                          has_n ? transpose(b, -1, -2) : b, matrix_axes(b_batch, batches, b_last),
                          space, 1);
}

}  // namespace

Tensor matmul(const Tensor& input, const Tensor& other) {
  OpScope op("matmul");
  const detail::Pair pair = promote_pair(input, other);
  return detail::cast_to(matmul_wide(pair.a, pair.b), pair.a.dtype());
}

Tensor mm(const Tensor& input, const Tensor& mat2) {
  OpScope op("mm");
  check_rank(input, 2, "input");
  check_rank(mat2, 2, "mat2");
  return matmul(input, mat2);
}

Tensor bmm(const Tensor& input, const Tensor& mat2) {
  OpScope op("bmm");
  check_rank(input, 3, "input");
  check_rank(mat2, 3, "mat2");
  PLAIT_CHECK(prove_equal(input.shape()[0], mat2.shape()[0], {}) != false, op_name(),
              "batch sizes must agree; got a: {}, b: {}; axis 0: {} != {}. hint: matmul broadcasts",
              to_string(input.type()), to_string(mat2.type()), to_string(input.shape()[0]),
              to_string(mat2.shape()[0]));
  return matmul(input, mat2);
}

Tensor dot(const Tensor& input, const Tensor& tensor) {
  OpScope op("dot");
  check_rank(input, 1, "input");
  check_rank(tensor, 1, "tensor");
  return matmul(input, tensor);
}

Tensor outer(const Tensor& input, const Tensor& vec2) {
  OpScope op("outer");
  check_rank(input, 1, "input");
  check_rank(vec2, 1, "vec2");
  return mul(unsqueeze(input, 1), vec2);
}

Tensor linear(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias) {
  OpScope op("linear");
  check_rank(weight, 2, "weight");
  const detail::Pair pair = promote_pair(input, weight);
  const Tensor& x = pair.a;
  PLAIT_CHECK(x.rank() >= 1, op_name(), "input needs a feature dim; got {}", to_string(x.type()));
  check_inner(x, x.rank() - 1, weight, 1);
  Shape space(x.shape().begin(), x.shape().end() - 1);
  space.push_back(weight.shape()[0]);
  space.push_back(x.shape().back());
  std::vector<int64_t> axes;
  for (int64_t i = 0; i + 1 < x.rank(); ++i) axes.push_back(i);
  axes.push_back(x.rank());
  Tensor result = detail::contract(x, axes, pair.b, {x.rank() - 1, x.rank()}, space, 1);
  if (bias) {
    check_rank(*bias, 1, "bias");
    PLAIT_CHECK(prove_equal(bias->shape()[0], weight.shape()[0], {}) != false, op_name(),
                "bias must have one number per output; got weight: {}, bias: {}; {} != {}",
                to_string(weight.type()), to_string(bias->type()), to_string(weight.shape()[0]),
                to_string(bias->shape()[0]));
    result = add(result, detail::cast_to(*bias, result.dtype()));
  }
  return detail::cast_to(result, x.dtype());
}

std::vector<OpRecord> linear_ops() {
  return {
      {
          .signature = "matmul(Tensor input, Tensor other) -> Tensor",
          .doc = "The matrix product of the last two dims, with leading dims broadcast: (…, m, k) "
                 "and (…, k, n) give (…, m, n). A vector is a row on the left, a column on the "
                 "right, and its dim disappears. Halves widen to f32 before the product and round "
                 "once; integers stay as they are and wrap.",
          .composition = compose<&matmul>,
          .oracle = "np.matmul(input, other)",
          .samples = {"(randn(3, 5), randn(5, 4))", "(randn(2, 3, 5), randn(5, 4))",
                      "(randn(2, 1, 3, 5), randn(7, 5, 4))", "(randn(5), randn(5))",
                      "(randn(5), randn(5, 4))", "(randn(2, 3, 5), randn(5))",
                      "(randn(5), randn(2, 5, 3))", "(randn(3, 0), randn(0, 4))",
                      "(randn(0, 5), randn(5, 4))", "(randn(1, 783), randn(783, 1))",
                      "(randint(-5, 5, 3, 4), randint(-5, 5, 4, 2))"},
      },
      {
          .signature = "mm(Tensor input, Tensor mat2) -> Tensor",
          .doc = "`matmul` of two matrices.",
          .composition = compose<&mm>,
          .oracle = "np.matmul(input, mat2)",
          .samples = {"(randn(3, 5), randn(5, 4))", "(randn(1, 7), randn(7, 1))"},
      },
      {
          .signature = "bmm(Tensor input, Tensor mat2) -> Tensor",
          .doc = "`matmul` of two batches of matrices with equal batch sizes.",
          .composition = compose<&bmm>,
          .oracle = "np.matmul(input, mat2)",
          .samples = {"(randn(2, 3, 5), randn(2, 5, 4))", "(randn(0, 3, 5), randn(0, 5, 4))"},
      },
      {
          .signature = "dot(Tensor input, Tensor tensor) -> Tensor",
          .doc = "The sum of the products of two vectors.",
          .composition = compose<&dot>,
          .oracle = "np.dot(input, tensor)",
          .samples = {"(randn(7), randn(7))", "(randn(0), randn(0))"},
      },
      {
          .signature = "outer(Tensor input, Tensor vec2) -> Tensor",
          .doc = "All products of the elements of two vectors: (m, n).",
          .composition = compose<&outer>,
          .oracle = "np.outer(input, vec2)",
          .samples = {"(randn(7), randn(5))", "(randn(0), randn(3))"},
      },
      {
          .signature = "linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
          .doc = "input @ weight.T + bias: input (…, in), weight (out, in), bias (out), result (…, "
                 "out). Halves widen to f32 and round once, after the bias.",
          .composition = compose<&linear>,
          .oracle = "input @ weight.T + (0 if bias is None else bias)",
          .samples = {"(randn(3, 5), randn(4, 5), randn(4))", "(randn(3, 5), randn(4, 5))",
                      "(randn(2, 3, 5), randn(4, 5), randn(4))", "(randn(5), randn(4, 5))",
                      "(randn(0, 5), randn(4, 5), randn(4))"},
      },
  };
}

}  // namespace plait

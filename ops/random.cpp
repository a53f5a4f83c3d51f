#include "ops/random.h"

#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

using detail::op_name;

Array seeded(int64_t seed) {
  Array state = Array::empty(DType::i64, {2});
  state.data<int64_t>()[0] = seed;
  state.data<int64_t>()[1] = 0;
  return state;
}

uint64_t next_salt(const Graph& graph) {
  for (size_t i = graph.size(); i-- > 0;) {
    const Node& node = graph.node(static_cast<Value>(i));
    if (node.op == MetaOp::random) return node.attributes.salt + 1;
  }
  return 0;
}

void check_float(DType dtype) {
  PLAIT_CHECK(is_float(dtype), op_name(), "dtype must be a float; got {}", dtype_name(dtype));
}

void check_probability(double p) {
  PLAIT_CHECK(p >= 0.0 && p <= 1.0, op_name(), "p must lie in [0, 1]; got {}", p);
}

// Box and Muller: the angle and the radius of a point with normal coordinates.
Tensor standard_normal(const Shape& size, DType dtype) {
  check_float(dtype);
  const std::shared_ptr<Graph> graph = current_graph();
  const DType wide = compute_type(dtype);
  const Tensor first = detail::random_uniform(graph, size, wide);
  const Tensor second = detail::random_uniform(graph, size, wide);
  const Tensor radius = sqrt(mul(log(sub(1.0, first)), -2.0));
  return mul(radius, cos(mul(second, 2.0 * std::numbers::pi)));
}

// The categories whose exponential clocks, of rates `weights`, ring first (Efraimidis and Spirakis,
// 2006). Those of weight 0 never ring.
Tensor draw_without_replacement(const std::shared_ptr<Graph>& graph, const Tensor& weights,
                                int64_t num_samples) {
  const Tensor u = detail::random_uniform(graph, weights.shape(), weights.dtype());
  const Tensor times = div(neg(log(sub(1.0, u))), weights);
  const Tensor never = where(gt(weights, 0.0), times, detail::kInfinity);
  return std::get<1>(topk(never, num_samples, -1, /*largest=*/false));
}

// The first category whose cumulative weight exceeds a uniform part of the total. What reaches the
// total is not counted, so that rounding cannot lead past the last category of weight above 0.
Tensor draw_with_replacement(const std::shared_ptr<Graph>& graph, const Tensor& weights,
                             int64_t num_samples) {
  Shape shape = weights.shape();
  shape.back() = num_samples;
  const Tensor u = detail::random_uniform(graph, shape, weights.dtype());
  const Tensor cumulative = cumsum(weights, -1);
  const Tensor total = slice(cumulative, -1, -1);
  const Tensor below = unsqueeze(mul(u, total), -1);
  const Tensor sums = unsqueeze(cumulative, -2);
  const Tensor passed = logical_and(le(sums, below), lt(sums, unsqueeze(total, -1)));
  return sum(passed, -1);
}

}  // namespace

std::shared_ptr<Slot> random_state() {
  static const auto slot = std::make_shared<Slot>("random_state", seeded(0), false);
  return slot;
}

void manual_seed(int64_t seed) { random_state()->set(seeded(seed)); }

namespace detail {

Tensor random_bits(const std::shared_ptr<Graph>& graph, const Shape& shape) {
  for (Expr extent : shape) {
    PLAIT_CHECK(prove_less(extent, 0, {}) != true, op_name(), "sizes must not be negative; got {}",
                to_string(shape));
  }
  const uint64_t salt = next_salt(*graph);
  const Value key = meta::parameter(*graph, random_state());
  return {graph, meta::random(*graph, key, shape, salt)};
}

Tensor random_uniform(const std::shared_ptr<Graph>& graph, const Shape& shape, DType dtype) {
  auto top_bits = [&](int digits) {
    return cast_to(binary(BinaryOp::shift_right, random_bits(graph, shape), 32 - digits), dtype);
  };
  switch (dtype) {
    case DType::f16:
      return binary(BinaryOp::mul, top_bits(11), 0x1p-11);
    case DType::bf16:
      return binary(BinaryOp::mul, top_bits(8), 0x1p-8);
    case DType::f32:
      return binary(BinaryOp::mul, top_bits(24), 0x1p-24);
    case DType::f64: {
      const Tensor high = top_bits(27);
      const Tensor low = top_bits(26);
      const Tensor both = binary(BinaryOp::add, binary(BinaryOp::mul, high, 0x1p26), low);
      return binary(BinaryOp::mul, both, 0x1p-53);
    }
    case DType::boolean:
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
    case DType::u32:
    case DType::u64:
      break;
  }
  check_float(dtype);
  PLAIT_UNREACHABLE("dtype {}", dtype_name(dtype));
}

}  // namespace detail

Tensor rand(const Shape& size, DType dtype) {
  OpScope op("rand");
  return detail::random_uniform(current_graph(), size, dtype);
}

Tensor randn(const Shape& size, DType dtype) {
  OpScope op("randn");
  return detail::cast_to(standard_normal(size, dtype), dtype);
}

Tensor uniform(const Shape& size, double low, double high, DType dtype) {
  OpScope op("uniform");
  check_float(dtype);
  const Tensor u = detail::random_uniform(current_graph(), size, compute_type(dtype));
  return detail::cast_to(add(mul(u, high - low), low), dtype);
}

Tensor normal(double mean, double std, const Shape& size, DType dtype) {
  OpScope op("normal");
  PLAIT_CHECK(std >= 0, op_name(), "std must not be negative; got {}", std);
  return detail::cast_to(add(mul(standard_normal(size, dtype), std), mean), dtype);
}

Tensor randint(int64_t low, int64_t high, const Shape& size, DType dtype) {
  OpScope op("randint");
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  PLAIT_CHECK(low < high && range <= uint64_t{1} << 32, op_name(),
              "high must exceed low by 1 to 2^32; got low {} and high {}", low, high);
  const Tensor bits = detail::random_bits(current_graph(), size);
  const Tensor product = mul(to(bits, DType::u64), static_cast<int64_t>(range));
  const Tensor below = to(bitwise_right_shift(product, 32), DType::i64);
  return detail::cast_to(add(below, low), dtype);
}

Tensor randperm(int64_t n, DType dtype) {
  OpScope op("randperm");
  PLAIT_CHECK(n >= 0, op_name(), "n must not be negative; got {}", n);
  return detail::cast_to(argsort(detail::random_bits(current_graph(), {n})), dtype);
}

Tensor bernoulli(const Tensor& input) {
  OpScope op("bernoulli");
  const std::shared_ptr<Graph> graph = detail::graph_of({&input});
  check_float(input.dtype());
  const DType wide = compute_type(input.dtype());
  const Tensor u = detail::random_uniform(graph, input.shape(), wide);
  return detail::cast_to(lt(u, detail::cast_to(input, wide)), input.dtype());
}

Tensor multinomial(const Tensor& input, int64_t num_samples, bool replacement) {
  OpScope op("multinomial");
  const std::shared_ptr<Graph> graph = detail::graph_of({&input});
  check_float(input.dtype());
  PLAIT_CHECK(input.rank() == 1 || input.rank() == 2, op_name(),
              "input must be (categories) or (batch, categories); got {}", to_string(input.type()));
  PLAIT_CHECK(num_samples >= 1, op_name(), "num_samples must be at least 1; got {}", num_samples);
  const Expr categories = input.shape().back();
  PLAIT_CHECK(prove_less(categories, 1, {}) != true, op_name(),
              "at least one category is needed; got {}", to_string(input.type()));
  PLAIT_CHECK(replacement || prove_less(categories, num_samples, {}) != true, op_name(),
              "without replacement num_samples must not exceed the categories; got {} for {}",
              num_samples, to_string(input.type()));
  const Tensor weights = detach(detail::wide(input));
  if (!replacement) return draw_without_replacement(graph, weights, num_samples);
  return draw_with_replacement(graph, weights, num_samples);
}

Tensor dropout(const Tensor& input, double p, bool training) {
  OpScope op("dropout");
  const std::shared_ptr<Graph> graph = detail::graph_of({&input});
  check_probability(p);
  if (!training || p == 0.0) return input;
  const DType dtype = detail::float_dtype(input);
  if (p == 1.0) return zeros_like(input, dtype);
  const double threshold = std::fmin(std::round(p * 0x1p32), 0x1p32 - 1);
  const Tensor bits = detail::random_bits(graph, input.shape());
  const Tensor keep = ge(bits, static_cast<int64_t>(threshold));
  const Tensor scaled = mul(detail::wide(input), 1.0 / (1.0 - p));
  return detail::cast_to(where(keep, scaled, 0.0), dtype);
}

std::vector<OpRecord> random_ops() {
  return {
      {
          .signature = "rand(Shape size, *, DType dtype=f32) -> Tensor",
          .doc = "Uniform in [0, 1): the top bits of Philox-4x32-10, as many as the dtype has "
                 "digits, so that 1 is never reached.",
          .composition = compose<&rand>,
          .oracle =
              "result.shape == tuple(size) and (result >= 0).all() and (result < 1).all() and "
              "(result.size < 1000 or abs(result.mean() - 0.5) < 0.05)",
          .samples = {"([3, 5],)", "([50, 61],)", "([],)", "([0, 3],)", "([7], dtype=f64)"},
          .differentiable = false,
      },
      {
          .signature = "randn(Shape size, *, DType dtype=f32) -> Tensor",
          .doc = "Normal with mean 0 and variance 1, by Box and Muller (1958) from two draws.",
          .composition = compose<&randn>,
          .oracle = "result.shape == tuple(size) and np.isfinite(result).all() and (result.size < "
                    "1000 or abs(result.mean()) < 0.1 and abs(result.std() - 1) < 0.1)",
          .samples = {"([3, 5],)", "([50, 61],)", "([],)", "([0, 3],)", "([7], dtype=f64)"},
          .differentiable = false,
      },
      {
          .signature = "uniform(Shape size, float low=0.0, float high=1.0, *, DType dtype=f32) -> "
                       "Tensor",
          .doc = "low + (high - low) * rand.",
          .composition = compose<&uniform>,
          .oracle =
              "result.shape == tuple(size) and (result >= low).all() and (result <= high).all()",
          .samples = {"([3, 5], -2.0, 3.0)", "([0],)"},
          .differentiable = false,
      },
      {
          .signature = "normal(float mean, float std, Shape size, *, DType dtype=f32) -> Tensor",
          .doc = "mean + std * randn.",
          .composition = compose<&normal>,
          .oracle = "result.shape == tuple(size) and np.isfinite(result).all() and (std > 0 or "
                    "(result == mean).all())",
          .samples = {"(1.0, 2.0, [3, 5])", "(3.0, 0.0, [7])"},
          .differentiable = false,
      },
      {
          .signature = "randint(int low, int high, Shape size, *, DType dtype=i64) -> Tensor",
          .doc = "Integers in [low, high), each of them equally often up to 2^-32 of the range, "
                 "which is at most 2^32.",
          .composition = compose<&randint>,
          .oracle =
              "result.shape == tuple(size) and (result >= low).all() and (result < high).all() "
              "and (result.size < 50 * (high - low) or len(np.unique(result)) == high - low)",
          .samples = {"(0, 7, [3, 5])", "(-3, 4, [500])", "(5, 6, [4])", "(0, 2, [0])"},
          .differentiable = false,
      },
      {
          .signature = "randperm(int n, *, DType dtype=i64) -> Tensor",
          .doc = "The numbers 0 to n - 1 in random order: the order of n draws.",
          .composition = compose<&randperm>,
          .oracle = "(np.sort(result) == np.arange(n)).all()",
          .samples = {"(33,)", "(1,)", "(0,)"},
          .differentiable = false,
      },
      {
          .signature = "bernoulli(Tensor input) -> Tensor",
          .doc = "1 with the probability that input names at each element, else 0; exact at 0 and "
                 "1.",
          .composition = compose<&bernoulli>,
          .oracle =
              "result.shape == input.shape and np.isin(result, [0, 1]).all() and (result[input "
              "== 0] == 0).all() and (result[input == 1] == 1).all()",
          .samples = {"(rand(3, 5),)", "(array([0.0, 1.0, 0.5]),)", "(rand(0),)"},
          .differentiable = false,
      },
      {
          .signature = "multinomial(Tensor input, int num_samples, bool replacement=False) -> "
                       "Tensor",
          .doc = "i64 categories drawn with probabilities proportional to the weights in input, "
                 "(categories) or (batch, categories): (…, num_samples). With `replacement` each "
                 "draw counts alone, else a row names each category once; where it has fewer than "
                 "num_samples of weight above 0, categories of weight 0 follow. The weights must "
                 "be finite, not negative, and not all 0.",
          .composition = compose<&multinomial>,
          .oracle = R"(
p = np.broadcast_to(input / input.sum(-1, keepdims=True), input.shape)
rows, drawn = p.reshape(-1, p.shape[-1]), result.reshape(-1, num_samples)
good = result.shape == (*input.shape[:-1], num_samples) and result.dtype == np.int64
for row, got in zip(rows, drawn):
    good = good and (got >= 0).all() and (got < len(row)).all()
    most = num_samples if replacement else np.count_nonzero(row)
    good = good and (row[got[:most]] > 0).all()
    good = good and (replacement or len(np.unique(got)) == num_samples)
    if replacement and num_samples >= 1000:
        counts = np.bincount(got, minlength=len(row)) / num_samples
        good = good and np.abs(counts - row).max() < 5 / num_samples**0.5
return good
)",
          .samples = {"(rand(3, 4) + 0.1, 2)", "(rand(6) + 0.1, 6)",
                      "(array([0.0, 1.0, 0.0, 3.0]), 2)", "(array([0.0, 1.0, 0.0]), 2)",
                      "(array([0.0, 1.0, 0.0, 3.0, 0.0]), 3000, True)",
                      "(rand(2, 5) + 0.1, 3000, replacement=True)", "(rand(0, 4), 2)",
                      "(array([1.0]), 4, True)"},
          .differentiable = false,
      },
      {
          .signature = "dropout(Tensor input, float p=0.5, bool training=True) -> Tensor",
          .doc = "input / (1 - p) with probability 1 - p, else 0 (Srivastava et al., 2014); input "
                 "itself for p = 0 or outside training, 0 for p = 1. Two calls draw apart.",
          .composition = compose<&dropout>,
          .oracle = "np.allclose(result, input if not training or p == 0 else 0 if p == 1 else "
                    "np.where(result == 0, 0, input / (1 - p)), rtol=1e-5) and (result.size < 1000 "
                    "or abs((result == 0).mean() - (p if training else 0)) < 0.1)",
          .samples = {"(randn(3, 5),)", "(randn(50, 61), 0.3)", "(randn(3, 5), 0.0)",
                      "(randn(3, 5), 1.0)", "(randn(3, 5), 0.5, False)", "(randn(0), 0.5)"},
      },
  };
}

}  // namespace plait

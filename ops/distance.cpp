// Lengths of vectors and distances between them.
#include <cmath>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

using detail::op_name;

// Along the last dim; 0 where there is nothing to measure.
Tensor length_along_last(const Tensor& x, double p, bool keepdim) {
  PLAIT_CHECK(p >= 0, op_name(), "p must not be negative; got {}", p);
  if (std::isinf(p) && x.shape().back().is_constant(0)) return sum(x, -1, keepdim);
  return norm(x, p, -1, keepdim);
}

void check_has_dim(const Tensor& x, int64_t rank, std::string_view name) {
  detail::graph_of({&x});
  PLAIT_CHECK(x.rank() >= rank, op_name(), "{} needs at least {} dims; got {}", name, rank,
              to_string(x.type()));
}

}  // namespace

Tensor normalize(const Tensor& input, double p, const IntList& dim, double eps) {
  OpScope op("normalize");
  const Tensor x = detail::wide(input);
  const Tensor length = norm(x, p, Dims(dim.values()), true);
  return detail::cast_to(div(x, clamp_min(length, eps)), detail::float_dtype(input));
}

Tensor cosine_similarity(const Tensor& x1, const Tensor& x2, int64_t dim, double eps) {
  OpScope op("cosine_similarity");
  const detail::Pair pair = detail::promote_and_broadcast(x1, x2);
  const Tensor a = detail::wide(pair.a);
  const Tensor b = detail::wide(pair.b);
  const int64_t axis = detail::normalize_axis(dim, a);
  auto length = [&](const Tensor& x) { return clamp_min(norm(x, 2.0, axis), eps); };
  const Tensor cosine = div(sum(mul(a, b), axis), mul(length(a), length(b)));
  return detail::cast_to(cosine, detail::float_dtype(pair.a));
}

Tensor pairwise_distance(const Tensor& x1, const Tensor& x2, double p, double eps, bool keepdim) {
  OpScope op("pairwise_distance");
  const detail::Pair pair = detail::promote_and_broadcast(x1, x2);
  check_has_dim(pair.a, 1, "x1");
  const Tensor difference = add(sub(detail::wide(pair.a), detail::wide(pair.b)), eps);
  return detail::cast_to(length_along_last(difference, p, keepdim), detail::float_dtype(pair.a));
}

Tensor cdist(const Tensor& x1, const Tensor& x2, double p) {
  OpScope op("cdist");
  check_has_dim(x1, 2, "x1");
  check_has_dim(x2, 2, "x2");
  PLAIT_CHECK(prove_equal(x1.shape().back(), x2.shape().back(), {}) != false, op_name(),
              "points must have equal sizes; got x1: {}, x2: {}; {} != {}", to_string(x1.type()),
              to_string(x2.type()), to_string(x1.shape().back()), to_string(x2.shape().back()));
  const detail::Pair pair = detail::promote_and_broadcast(unsqueeze(x1, -2), unsqueeze(x2, -3));
  const Tensor difference = sub(detail::wide(pair.a), detail::wide(pair.b));
  return detail::cast_to(length_along_last(difference, p, false), detail::float_dtype(pair.a));
}

std::vector<OpRecord> distance_ops() {
  static constexpr std::string_view kLength = R"(
def length(d, keepdim=False):
    if p == 0:
        return np.sum(d != 0, -1, keepdims=keepdim).astype(float)
    if np.isinf(p):
        return np.max(d, -1, keepdims=keepdim, initial=0)
    return np.sum(d**p, -1, keepdims=keepdim) ** (1 / p)
)";
  static const std::string pairwise_oracle =
      std::string(kLength) + "return length(np.abs(x1 - x2 + eps), keepdim)";
  static const std::string cdist_oracle =
      std::string(kLength) + "return length(np.abs(x1[..., :, None, :] - x2[..., None, :, :]))";
  return {
      {
          .signature = "normalize(Tensor input, float p=2.0, int[] dim=1, float eps=1e-12) -> "
                       "Tensor",
          .doc = "input divided by its p-norm along `dim`, or by eps where that is larger. Halves "
                 "are computed in f32 and rounded once.",
          .composition = compose<&normalize>,
          .oracle = R"(
a = np.abs(input)
along = tuple(dim)
if np.isinf(p):
    length = np.max(a, axis=along, keepdims=True)
else:
    length = np.sum(a**p, axis=along, keepdims=True) ** (1 / p)
return input / np.maximum(length, eps)
)",
          .samples = {"(randn(3, 5),)", "(randn(7), 2.0, 0)", "(randn(3, 5), 1.0, -1)",
                      "(randn(2, 3, 4), 3.0, [0, 2])", "(randn(3, 5), inf, 0)", "(randn(0, 3),)",
                      "(array([[3.0, 4.0], [nan, 1.0]]),)", "(randn(3, 5), eps=2.0)"},
      },
      {
          .signature = "cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-8) -> "
                       "Tensor",
          .doc = "sum(x1 * x2) / (max(|x1|, eps) * max(|x2|, eps)) along `dim`, with broadcasting. "
                 "Halves are computed in f32 and rounded once.",
          .composition = compose<&cosine_similarity>,
          .oracle = R"(
x1, x2 = np.broadcast_arrays(x1, x2)
length = lambda x: np.maximum(np.sqrt(np.sum(x * x, axis=dim)), eps)
return np.sum(x1 * x2, axis=dim) / (length(x1) * length(x2))
)",
          .samples = {"(randn(3, 5), randn(3, 5))", "(randn(7), randn(7), 0)",
                      "(randn(2, 1, 4), randn(3, 4), -1)", "(randn(0, 3), randn(0, 3))",
                      "(full((2, 3), 0.0), full((2, 3), 0.0))", "(randn(3, 0), randn(3, 0))"},
      },
      {
          .signature = "pairwise_distance(Tensor x1, Tensor x2, float p=2.0, float eps=1e-6, bool "
                       "keepdim=False) -> Tensor",
          .doc = "The p-norm of x1 - x2 + eps along the last dim, with broadcasting. Halves are "
                 "computed in f32 and rounded once.",
          .composition = compose<&pairwise_distance>,
          .oracle = pairwise_oracle,
          .samples = {"(randn(3, 5), randn(3, 5))", "(randn(7), randn(7), 1.0)",
                      "(randn(2, 1, 4), randn(3, 4), 3.0, keepdim=True)",
                      "(randn(3, 5), randn(3, 5), inf)", "(randn(0, 3), randn(0, 3))",
                      "(randn(3, 0), randn(3, 0), inf)"},
      },
      {
          .signature = "cdist(Tensor x1, Tensor x2, float p=2.0) -> Tensor",
          .doc = "The p-norm of each difference of a point of x1 (…, P, M) and one of x2 (…, R, "
                 "M): (…, P, R), from the differences themselves, without cancellation. Leading "
                 "dims broadcast; the gradient at distance 0 is 0. Halves are computed in f32.",
          .composition = compose<&cdist>,
          .oracle = cdist_oracle,
          .samples = {"(randn(3, 5), randn(4, 5))", "(randn(2, 3, 4), randn(5, 4), 1.0)",
                      "(randn(3, 5), randn(4, 5), 3.0)", "(randn(3, 5), randn(4, 5), inf)",
                      "(array([[1.0, 2.0], [3.0, 4.0]]), array([[1.0, 2.0], [1.0, 4.0]]), 0.0)",
                      "(array([[1.0, 2.0]]), array([[1.0, 2.0]]))", "(randn(0, 3), randn(4, 3))",
                      "(randn(2, 0), randn(3, 0))", "(randn(2, 0), randn(3, 0), inf)"},
      },
  };
}

}  // namespace plait

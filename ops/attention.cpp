// Attention and rotary positions, as plain compositions: the compiler makes them one kernel.
#include <cmath>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"
#include "ops/softmax_terms.h"

namespace plait {
namespace {

using detail::op_name;

void check_projections(const Tensor& query, const Tensor& key, const Tensor& value) {
  detail::graph_of({&query, &key, &value});
  for (const Tensor* x : {&query, &key, &value}) {
    PLAIT_CHECK(x->rank() >= 2 && is_float(x->dtype()), op_name(),
                "query, key and value must be floats (…, length, features); got query: {}, key: "
                "{}, value: {}",
                to_string(query.type()), to_string(key.type()), to_string(value.type()));
  }
  PLAIT_CHECK(prove_equal(query.size(-1), key.size(-1), {}) != false, op_name(),
              "query and key must have equal features; got query: {}, key: {}; {} != {}",
              to_string(query.type()), to_string(key.type()), to_string(query.size(-1)),
              to_string(key.size(-1)));
  PLAIT_CHECK(prove_equal(key.size(-2), value.size(-2), {}) != false, op_name(),
              "key and value must have equal lengths; got key: {}, value: {}; {} != {}",
              to_string(key.type()), to_string(value.type()), to_string(key.size(-2)),
              to_string(value.size(-2)));
}

// Repeats heads (dim -3) of key or value until there is one per query head.
Tensor share_heads(const Tensor& x, const Tensor& query) {
  PLAIT_CHECK(query.rank() >= 3 && x.rank() >= 3, op_name(),
              "enable_gqa needs a head dim; got query: {}, key or value: {}",
              to_string(query.type()), to_string(x.type()));
  const int64_t heads = detail::fixed_size(query.size(-3), "the number of heads");
  const int64_t shared = detail::fixed_size(x.size(-3), "the number of heads");
  PLAIT_CHECK(shared >= 1 && heads % shared == 0, op_name(),
              "query heads must be a multiple of key and value heads; got query: {}, key or "
              "value: {}; {} and {}",
              to_string(query.type()), to_string(x.type()), heads, shared);
  return heads == shared ? x : repeat_interleave(x, heads / shared, -3);
}

// 1 / sqrt(features), as a number where the size is one.
Operand default_scale(const Tensor& query) {
  const Expr features = query.size(-1);
  if (const std::optional<int64_t> number = features.constant()) {
    return 1.0 / std::sqrt(static_cast<double>(*number));
  }
  return rsqrt(detail::as_tensor(query.graph(), features, DType::f32));
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const std::optional<Tensor>& attn_mask, double dropout_p,
                                    bool is_causal, std::optional<double> scale, bool enable_gqa) {
  OpScope op("scaled_dot_product_attention");
  check_projections(query, key, value);
  const DType dtype = promote(promote(query.dtype(), key.dtype()), value.dtype());
  const Tensor q = detail::wide(query);
  const Tensor k = detail::wide(enable_gqa ? share_heads(key, query) : key);
  const Tensor v = detail::wide(enable_gqa ? share_heads(value, query) : value);
  const Operand factor = scale ? Operand(*scale) : default_scale(query);
  Tensor scores = mul(matmul(q, transpose(k, -1, -2)), factor);
  if (is_causal) {
    scores = where(detail::below_diagonal(scores, 0), scores, -detail::kInfinity);
  }
  if (attn_mask) {
    scores = attn_mask->dtype() == DType::boolean
                 ? where(*attn_mask, scores, -detail::kInfinity)
                 : add(scores, detail::cast_to(*attn_mask, scores.dtype()));
  }
  const Tensor weights = dropout(softmax(scores, -1), dropout_p);
  return detail::cast_to(matmul(weights, v), dtype);
}

Tensor rotary_embedding(const Tensor& input, const Tensor& cos, const Tensor& sin,
                        bool interleaved) {
  OpScope op("rotary_embedding");
  detail::graph_of({&input, &cos, &sin});
  PLAIT_CHECK(input.rank() >= 1, op_name(), "input needs a feature dim; got {}",
              to_string(input.type()));
  const int64_t features = detail::fixed_size(input.size(-1), "the number of features");
  PLAIT_CHECK(features % 2 == 0, op_name(),
              "features come in pairs; got {}; the last dim has size "
              "{}",
              to_string(input.type()), features);
  const int64_t half = features / 2;
  const Tensor x = detail::wide(input);
  const Tensor c = detail::cast_to(cos, x.dtype());
  const Tensor s = detail::cast_to(sin, x.dtype());
  const Tensor first = interleaved ? slice(x, -1, 0, features, 2) : slice(x, -1, 0, half);
  const Tensor second = interleaved ? slice(x, -1, 1, features, 2) : slice(x, -1, half, features);
  const Tensor left = sub(mul(first, c), mul(second, s));
  const Tensor right = add(mul(second, c), mul(first, s));
  const Tensor turned =
      interleaved ? flatten(stack({left, right}, -1), -2, -1) : cat({left, right}, -1);
  return detail::cast_to(turned, detail::float_dtype(input));
}

std::vector<OpRecord> attention_ops() {
  return {
      {
          .signature = "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, "
                       "Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, *, "
                       "float? scale=None, bool enable_gqa=False) -> Tensor",
          .doc =
              "softmax(query @ key^T * scale + mask) @ value over (…, length, features); scale is "
              "1/sqrt(features) by default. A bool mask keeps where True, a float mask is "
              "added, `is_causal` keeps key <= query counted from the first position. A fully "
              "masked row gives 0. `enable_gqa`: heads (dim -3) of key and value are shared. "
              "Halves are computed in f32 and rounded once.",
          .composition = compose<&scaled_dot_product_attention>,
          .oracle = R"(
if enable_gqa:
    n = query.shape[-3] // key.shape[-3]
    key, value = np.repeat(key, n, -3), np.repeat(value, n, -3)
s = query @ np.swapaxes(key, -1, -2) * (1 / np.sqrt(query.shape[-1]) if scale is None else scale)
if is_causal:
    s = np.where(np.tril(np.ones(s.shape[-2:], bool)), s, -np.inf)
if attn_mask is not None:
    s = np.where(attn_mask, s, -np.inf) if attn_mask.dtype == bool else s + attn_mask
m = s.max(-1, keepdims=True)
e = np.exp(s - np.where(m == -np.inf, 0, m))
t = e.sum(-1, keepdims=True)
return e / np.where(t == 0, 1, t) @ value
)",
          .samples = {"(randn(2, 3, 5, 4), randn(2, 3, 7, 4), randn(2, 3, 7, 6))",
                      "(randn(3, 5, 4), randn(3, 5, 4), randn(3, 5, 4), is_causal=True)",
                      "(randn(5, 4), randn(7, 4), randn(7, 4), randn(5, 7) > 0)",
                      "(randn(5, 4), randn(7, 4), randn(7, 4), randn(5, 7))",
                      "(randn(2, 4), randn(2, 4), randn(2, 4), array([[False, False], [True, "
                      "False]]))",
                      "(randn(2, 6, 5, 4), randn(2, 2, 5, 4), randn(2, 2, 5, 4), enable_gqa=True)",
                      "(randn(1, 5, 4), randn(1, 1, 4), randn(1, 1, 3), scale=0.3)"},
      },
      {
          .signature = "rotary_embedding(Tensor input, Tensor cos, Tensor sin, bool "
                       "interleaved=False) -> Tensor",
          .doc = "Turns pairs of the last dim by angles whose cos and sin, with half the features, "
                 "broadcast to (…, features / 2) (Su et al., 2021). Pairs are (i, i + half), or "
                 "(2i, 2i + 1) if interleaved.",
          .composition = compose<&rotary_embedding>,
          .oracle = R"(
h = input.shape[-1] // 2
a, b = (input[..., ::2], input[..., 1::2]) if interleaved else (input[..., :h], input[..., h:])
a, b = a * cos - b * sin, b * cos + a * sin
return np.stack([a, b], -1).reshape(input.shape) if interleaved else np.concatenate([a, b], -1)
)",
          .samples = {"(randn(2, 3, 5, 6), randn(5, 3), randn(5, 3))",
                      "(randn(5, 6), randn(5, 3), randn(5, 3), True)"},
      },
  };
}

}  // namespace plait

#include "ops/nn/attention.h"

#include "core/error.h"
#include "ops/functions.h"

namespace plait::nn {
namespace {

int64_t checked_width(int64_t width, int64_t heads) {
  PLAIT_CHECK(width > 0 && heads > 0 && width % heads == 0, "SelfAttention",
              "the width must be a positive multiple of the heads; got width: {}, heads: {}", width,
              heads);
  return width;
}

}  // namespace

SelfAttention::SelfAttention(int64_t width, int64_t heads, SelfAttentionOptions options)
    : width_(checked_width(width, heads)),
      heads_(heads),
      options_(options),
      qkv_(width, 3 * width, options.bias),
      proj_(width, width, options.bias) {
  add("qkv", qkv_);
  add("proj", proj_);
}

Tensor SelfAttention::forward(const Tensor& input) {
  PLAIT_CHECK(input.rank() == 3, "SelfAttention", "needs [batch, length, {}]; got {}", width_,
              to_string(input.type()));
  const Expr batch = input.size(0), length = input.size(1);
  const std::vector<Tensor> parts = split(qkv_(input), {width_, width_, width_}, -1);
  const auto heads = [&](const Tensor& x) {  // -> [batch, heads, length, width / heads]
    return transpose(reshape(x, {batch, length, heads_, width_ / heads_}), 1, 2);
  };
  const Tensor mixed = scaled_dot_product_attention(heads(parts[0]), heads(parts[1]),
                                                    heads(parts[2]), {}, 0.0, options_.causal);
  return proj_(reshape(transpose(mixed, 1, 2), {batch, length, width_}));
}

}  // namespace plait::nn

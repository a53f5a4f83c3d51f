// Multi-head attention of a sequence to itself.
#pragma once

#include "ops/nn/linear.h"

namespace plait::nn {

struct SelfAttentionOptions {
  bool causal = false;
  bool bias = true;
};

// One projection makes queries, keys and values (q | k | v along its output), heads attend with
// scale 1/sqrt(width / heads), a second projection mixes them.
class SelfAttention : public Module {
 public:
  SelfAttention(int64_t width, int64_t heads, SelfAttentionOptions options = {});

  Tensor forward(const Tensor& input) override;  // [batch, length, width], shape kept

  Linear& qkv() { return qkv_; }
  Linear& proj() { return proj_; }

 private:
  int64_t width_, heads_;
  SelfAttentionOptions options_;
  Linear qkv_, proj_;
};

}  // namespace plait::nn

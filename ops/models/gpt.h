// A decoder-only transformer in the manner of GPT-2 (Radford et al., 2019): pre-norm blocks,
// learned positions, tanh-approximated gelu, output head tied to the token embedding, no dropout.
//
// Parameters, with PyTorch's layouts: tok [vocab, width]; pos [context, width]; for each layer N
// h.N.ln1.{weight,bias}, h.N.attn.qkv.{weight,bias} (q | k | v along the output), h.N.attn.proj,
// h.N.ln2, h.N.mlp.fc (4 · width), h.N.mlp.proj; ln_f.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ops/nn/attention.h"
#include "ops/nn/norm.h"

namespace plait::models {

struct GPTConfig {
  int64_t layers = 4;
  int64_t width = 128;
  int64_t heads = 4;
  int64_t context = 128;  // the longest sequence
  int64_t vocab = 256;
};

class MLP : public nn::Module {
 public:
  explicit MLP(int64_t width);
  Tensor forward(const Tensor& x) override;

 private:
  nn::Linear fc_, proj_;
};

class Block : public nn::Module {
 public:
  explicit Block(const GPTConfig& config);
  Tensor forward(const Tensor& x) override;

 private:
  nn::LayerNorm ln1_;
  nn::SelfAttention attn_;
  nn::LayerNorm ln2_;
  MLP mlp_;
};

class GPT : public nn::Module {
 public:
  // Initial values are GPT-2's, drawn in the order of named_parameters() after manual_seed(seed):
  // normal(0, 0.02) for tensors of two axes, with 0.02 / sqrt(2 · layers) for the projections that
  // end in the residual stream; biases 0, norm weights 1.
  explicit GPT(const GPTConfig& config, int64_t seed = 0);

  // Integer tokens [batch, length] -> logits [batch, length, vocab]; length <= context.
  Tensor forward(const Tensor& tokens) override;

  const GPTConfig& config() const { return config_; }

 private:
  void initialize(int64_t seed);

  GPTConfig config_;
  std::shared_ptr<Slot> tok_, pos_;
  nn::ModuleList<Block> h_;
  nn::LayerNorm ln_f_;
};

// The mean negative log-likelihood, in nats per token, of integer targets [batch, length].
Tensor gpt_loss(GPT& model, const Tensor& tokens, const Tensor& targets);

struct SampleOptions {
  double temperature = 1.0;  // 0 takes the likeliest token
  int64_t top_k = 0;         // draws among the k likeliest; 0 for all
  int64_t seed = 0;
};

// The index drawn from softmax(logits / temperature), by the uniform number of (seed, position)
// from Plait's Philox; ties at the k-th place keep the smaller index.
int64_t sample(std::span<const float> logits, int64_t position, const SampleOptions& options);

// `prompt` and `count` sampled tokens after it. `logits` runs the model: i64[1, context] ->
// f32[1, context, vocab]. The window slides when the sequence outgrows the context.
std::vector<int64_t> generate(const std::function<Array(const Array&)>& logits,
                              const GPTConfig& config, std::vector<int64_t> prompt, int64_t count,
                              const SampleOptions& options);

}  // namespace plait::models

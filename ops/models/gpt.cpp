#include "ops/models/gpt.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/error.h"
#include "core/random.h"
#include "ops/functions.h"
#include "ops/nn/init.h"
#include "ops/random.h"

namespace plait::models {
namespace {

// Apart from the salts of traces and of initial values.
constexpr uint64_t kSampleSalt = 0xFFFFFFFE;

const GPTConfig& checked(const GPTConfig& config) {
  PLAIT_CHECK(
      config.layers >= 0 && config.width > 0 && config.heads > 0 && config.context > 0 &&
          config.vocab > 0,
      "GPT", "sizes must be positive; got layers: {}, width: {}, heads: {}, context: {}, vocab: {}",
      config.layers, config.width, config.heads, config.context, config.vocab);
  return config;
}

bool ends_with(const std::string& text, std::string_view suffix) {
  return std::string_view(text).ends_with(suffix);
}

}  // namespace

MLP::MLP(int64_t width) : fc_(width, 4 * width), proj_(4 * width, width) {
  add("fc", fc_);
  add("proj", proj_);
}

Tensor MLP::forward(const Tensor& x) { return proj_(gelu(fc_(x), "tanh")); }

Block::Block(const GPTConfig& config)
    : ln1_(config.width),
      attn_(config.width, config.heads, {.causal = true}),
      ln2_(config.width),
      mlp_(config.width) {
  add("ln1", ln1_);
  add("attn", attn_);
  add("ln2", ln2_);
  add("mlp", mlp_);
}

Tensor Block::forward(const Tensor& x) {
  const Tensor attended = x + attn_(ln1_(x));
  return attended + mlp_(ln2_(attended));
}

GPT::GPT(const GPTConfig& config, int64_t seed)
    : Module("gpt"), config_(checked(config)), ln_f_(config.width) {
  tok_ = add_parameter("tok", nn::init::zeros({config.vocab, config.width}));
  pos_ = add_parameter("pos", nn::init::zeros({config.context, config.width}));
  for (int64_t i = 0; i < config.layers; ++i) h_.emplace_back(config);
  add("h", h_);
  add("ln_f", ln_f_);
  initialize(seed);
}

void GPT::initialize(int64_t seed) {
  manual_seed(seed);
  const double residual = 0.02 / std::sqrt(2.0 * static_cast<double>(config_.layers));
  for (const NamedSlot& named : named_parameters()) {
    const std::vector<int64_t>& shape = named.slot->value().shape;
    if (shape.size() == 2) {
      const bool ends_in_residual = ends_with(named.name, ".proj.weight");
      named.slot->set(nn::init::normal(shape, 0, ends_in_residual ? residual : 0.02));
    } else if (ends_with(named.name, ".bias")) {
      named.slot->set(nn::init::zeros(shape));
    }
  }
}

Tensor GPT::forward(const Tensor& tokens) {
  PLAIT_CHECK(tokens.rank() == 2, "GPT", "needs tokens [batch, length]; got {}",
              to_string(tokens.type()));
  const Expr length = tokens.size(1);
  PLAIT_CHECK(!length.constant() || *length.constant() <= config_.context, "GPT",
              "the sequence is longer than the context; got tokens: {}; axis 1: {} > {}",
              to_string(tokens.type()), to_string(length), config_.context);
  const Tensor token_table = parameter(tok_);
  Tensor x = embedding(tokens, token_table) + slice(parameter(pos_), 0, 0, length);
  for (Block& block : h_) x = block(x);
  return linear(ln_f_(x), token_table);
}

Tensor gpt_loss(GPT& model, const Tensor& tokens, const Tensor& targets) {
  const Tensor logits = model(tokens);
  return cross_entropy(reshape(logits, {logits.size(0) * logits.size(1), logits.size(2)}),
                       reshape(targets, {targets.size(0) * targets.size(1)}));
}

int64_t sample(std::span<const float> logits, int64_t position, const SampleOptions& options) {
  PLAIT_CHECK(!logits.empty(), "sample", "needs at least one logit");
  PLAIT_CHECK(options.temperature >= 0, "sample", "the temperature must not be negative; got {}",
              options.temperature);
  PLAIT_CHECK(options.top_k >= 0, "sample", "top_k must not be negative; got {}", options.top_k);
  std::vector<int64_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
  const double largest = logits[order[0]];
  PLAIT_CHECK(std::isfinite(largest), "sample", "the largest logit must be finite; got {}",
              largest);
  if (options.temperature == 0) return order[0];
  if (options.top_k > 0 && options.top_k < static_cast<int64_t>(order.size())) {
    order.resize(options.top_k);
  }
  std::vector<double> cumulative;
  double total = 0;
  for (int64_t token : order) {
    total += std::exp((logits[token] - largest) / options.temperature);
    cumulative.push_back(total);
  }
  const uint32_t bits =
      random::element_bits(static_cast<uint64_t>(position), options.seed, 0, kSampleSalt);
  const double target = (bits + 0.5) * 0x1p-32 * total;
  const auto drawn = std::upper_bound(cumulative.begin(), cumulative.end() - 1, target);
  return order[drawn - cumulative.begin()];
}

std::vector<int64_t> generate(const std::function<Array(const Array&)>& logits,
                              const GPTConfig& config, std::vector<int64_t> prompt, int64_t count,
                              const SampleOptions& options) {
  PLAIT_CHECK(!prompt.empty(), "generate", "needs a prompt of at least one token");
  const int64_t context = config.context;
  for (int64_t i = 0; i < count; ++i) {
    const auto size = static_cast<int64_t>(prompt.size());
    const int64_t used = std::min(size, context);
    Array window = Array::full(DType::i64, {1, context}, Scalar(DType::i64, 0));
    std::memcpy(window.data<int64_t>(), prompt.data() + size - used, used * sizeof(int64_t));
    const Array all = logits(window);
    PLAIT_CHECK(all.dtype == DType::f32 && all.count() == context * config.vocab, "generate",
                "the model must give f32[1, {}, {}]; got {}", context, config.vocab,
                to_string(all.type()));
    const std::span row(all.data<float>() + (used - 1) * config.vocab,
                        static_cast<size_t>(config.vocab));
    prompt.push_back(sample(row, size, options));
  }
  return prompt;
}

}  // namespace plait::models

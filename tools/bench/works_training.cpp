// Works that train: optimizer steps, the perceptron, transformers; and their compile times.
#include <string>

#include "core/graph/build.h"
#include "jit/compile.h"
#include "ops/functions.h"
#include "ops/models/gpt.h"
#include "ops/nn/linear.h"
#include "ops/optim/adamw.h"
#include "tools/bench/work.h"

namespace plait::bench {
namespace {

using Groups = std::vector<std::string>;

// A loss after one update, from the same start: sums in other orders, no more.
constexpr double kTolerance = 1e-4;
constexpr double kHalfTolerance = 1e-2;  // bf16 keeps 8 bits, rounded at other places by each

int64_t size_of(const std::string& text) { return std::stoll(text); }

Work adamw(const Groups& g) {
  constexpr int64_t kTensors = 10;
  const int64_t each = size_of(g[0]) * 1'000'000 / kTensors;
  const double n = 1.0 * kTensors * each;
  Work work;
  work.cost = {.bytes = 28 * n, .footprint = 16 * n, .in_place = true};
  work.tolerance = kTolerance;
  work.build = [=] {
    Instance instance;
    std::vector<std::shared_ptr<Slot>> slots;
    std::vector<Tensor> gradients;
    reset_current_graph();
    for (int64_t i = 0; i < kTensors; ++i) {
      const std::string number = std::to_string(i);
      slots.push_back(std::make_shared<Slot>("p" + number, normal({each}, i + 1)));
      instance.slots.push_back({"p" + number, slots.back()});
      instance.inputs["g" + number] = normal({each}, kTensors + i + 1);
      gradients.push_back(input("g" + number, DType::f32, {each}));
    }
    const auto optimizer = std::make_shared<optim::AdamW>(slots);
    optimizer->update(gradients);
    instance.compile = [graph = gradients[0].graph()](const Options& options) {
      return compile(*graph, options);
    };
    reset_current_graph();
    instance.before_run = [optimizer](std::map<std::string, Array>& inputs) {
      for (const auto& [name, value] : optimizer->scalars()) inputs.insert_or_assign(name, value);
    };
    instance.after_run = [optimizer] { optimizer->advance(); };
    instance.observed = slots[0];
    return instance;
  };
  return work;
}

// A training step: the model lives as long as the compile needs it.
template <class Model>
Instance training(std::shared_ptr<Model> model, std::map<std::string, Array> inputs,
                  const Tensor& loss, const optim::AdamWOptions& options) {
  Instance instance;
  instance.inputs = std::move(inputs);
  instance.slots = model->named_parameters();
  const auto optimizer = std::make_shared<optim::AdamW>(model->parameters(), options);
  instance.compile = [model, optimizer, loss](const Options& o) {
    return compile({loss}, optimizer, o);
  };
  reset_current_graph();
  return instance;
}

struct Perceptron : nn::Module {
  nn::Linear fc1, fc2, fc3;
  Perceptron() : Module("mlp"), fc1(784, 512), fc2(512, 512), fc3(512, 10) {
    add("fc1", fc1);
    add("fc2", fc2);
    add("fc3", fc3);
  }
  Tensor forward(const Tensor& x) override { return fc3(gelu(fc2(gelu(fc1(x))))); }
};

Work mlp_step(const Groups& g) {
  const int64_t batch = size_of(g[0]);
  constexpr double kWeights = 784 * 512 + 512 * 512 + 512 * 10;
  Work work;
  work.cost.flops = 6 * kWeights * batch;
  work.tolerance = kTolerance;
  work.build = [=] {
    std::map<std::string, Array> inputs = {{"x", normal({batch, 784}, 1)},
                                           {"targets", integers({batch}, 2, 10)}};
    const auto model = std::make_shared<Perceptron>();
    reset_current_graph();
    const Tensor loss = cross_entropy((*model)(input("x", DType::f32, {batch, 784})),
                                      input("targets", DType::i64, {batch}));
    return training(model, std::move(inputs), loss, {});
  };
  return work;
}

struct GptStep {
  models::GPTConfig config;
  int64_t batch;
  optim::AdamWOptions optimizer = {.weight_decay = 0.01};
};

// Of the matrices: six FLOPs for each weight and token. The head is the tied table.
double flops_of(const GptStep& step) {
  const models::GPTConfig& c = step.config;
  const double width = static_cast<double>(c.width);
  const double tokens = static_cast<double>(step.batch * c.context);
  const double weights =
      static_cast<double>(c.layers) * 12 * width * width + static_cast<double>(c.vocab) * width;
  return 6 * weights * tokens;
}

Instance build_gpt(const GptStep& step) {
  const models::GPTConfig& c = step.config;
  std::map<std::string, Array> inputs = {
      {"tokens", integers({step.batch, c.context}, 1, c.vocab)},
      {"targets", integers({step.batch, c.context}, 2, c.vocab)}};
  const auto model = std::make_shared<models::GPT>(c);
  reset_current_graph();
  const Shape shape = {step.batch, c.context};
  const Tensor loss = models::gpt_loss(*model, input("tokens", DType::i64, shape),
                                       input("targets", DType::i64, shape));
  return training(model, std::move(inputs), loss, step.optimizer);
}

Work gpt_work(const GptStep& step) {
  Work work;
  work.cost.flops = flops_of(step);
  work.tolerance = kTolerance;
  work.build = [step] { return build_gpt(step); };
  return work;
}

// The step of tools/demo.sh.
Work gpt_demo(const Groups&) {
  return gpt_work(
      {.config = {},
       .batch = 16,
       .optimizer = {.beta2 = 0.95, .weight_decay = 0.1, .decay_min_rank = 2, .clip_norm = 1.0}});
}

Work gpt_step(const Groups& g) {
  const int64_t width = size_of(g[1]);
  return gpt_work({.config = {.layers = size_of(g[0]),
                              .width = width,
                              .heads = width / 64,
                              .context = size_of(g[3]),
                              .vocab = 256},
                   .batch = size_of(g[2])});
}

GptStep gpt2(int64_t layers, int64_t batch, int64_t context) {
  return {
      .config = {.layers = layers, .width = 768, .heads = 12, .context = context, .vocab = 50257},
      .batch = batch};
}

Work gpt2_step(const Groups& g) {
  Work work = gpt_work(gpt2(12, size_of(g[0]), size_of(g[1])));
  if (g[2].empty()) return work;
  std::swap(work.cost.flops, work.cost.bf16_flops);
  work.autocast = Autocast::bf16;
  work.tolerance = kHalfTolerance;
  return work;
}

Work compile_gpt2(const Groups& g) {
  Work work = gpt_work(gpt2(g[1].empty() ? 12 : size_of(g[1]), 2, 256));
  work.kind = WorkKind::compile;
  work.cost = {};
  for (const char* peer : kPeers) {
    work.without[peer] = "it compiles at the first call: see `cold` of gpt2_124M_step_2x256";
  }
  return work;
}

}  // namespace

std::vector<Family> training_families() {
  return {
      {R"(adamw_(\d+)M)", adamw},
      {R"(mlp_mnist_step_b(\d+))", mlp_step},
      {R"(gpt_demo_step)", gpt_demo},
      {R"(gpt_(\d+)L(\d+)_step_(\d+)x(\d+))", gpt_step},
      {R"(gpt2_124M_step_(\d+)x(\d+)(_bf16)?)", gpt2_step},
      {R"(compile_gpt2_(124M|(\d+)L))", compile_gpt2},
  };
}

}  // namespace plait::bench

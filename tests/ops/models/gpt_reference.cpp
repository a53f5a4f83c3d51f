// The first steps of the reference run (tests/data/gpt_kjv) by the reference evaluator.
#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/io/npy.h"
#include "ops/checkpoint.h"
#include "ops/optim/adamw.h"
#include "tests/ops/models/training_graph.h"
#include "tests/ops/step.h"

using namespace plait;

namespace {

const std::string kReference = PLAIT_TEST_DATA "/gpt_kjv/";

// The inputs of a step.
std::map<std::string, Array> batch(int64_t step) {
  const Array text = load_npy(kReference + "windows.npy");
  Array tokens = Array::empty(DType::i64, {8, 64}), targets = Array::empty(DType::i64, {8, 64});
  for (int64_t row = 0; row < 8; ++row) {
    const auto* window = text.data<uint8_t>() + (step * 8 + row) * 65;
    for (int64_t i = 0; i < 64; ++i) {
      tokens.data<int64_t>()[row * 64 + i] = window[i];
      targets.data<int64_t>()[row * 64 + i] = window[i + 1];
    }
  }
  return {{"tokens", tokens}, {"targets", targets}};
}

}  // namespace

TEST_CASE("losses of the reference's first steps") {
  const auto reference = nlohmann::json::parse(std::ifstream(kReference + "reference.json"));
  const auto expected_loss = [&](int step) {
    return Approx(reference["loss_f64"][step].get<double>()).margin(5e-5).epsilon(0);
  };
  models::GPT model({.layers = 2, .width = 64, .heads = 4, .context = 64, .vocab = 256});
  load_checkpoint(kReference + "initial.safetensors", model.state());
  optim::AdamW optimizer(model.parameters(), {.lr = 1e-3,
                                              .beta1 = 0.9,
                                              .beta2 = 0.95,
                                              .eps = 1e-8,
                                              .weight_decay = 0.1,
                                              .decay_min_rank = 2,
                                              .clip_norm = 1.0});
  const auto graph = testing::training_graph(model, optimizer, 8, 64);
  CHECK(testing::run_step(*graph, optimizer, batch(0))[0].item() == expected_loss(0));
  CHECK(optimizer.grad_norm() == Approx(reference["grad_norm_f64"][0].get<double>()).epsilon(1e-5));

  // The second loss shows that the first update was right; it needs no gradient.
  reset_current_graph();
  const Tensor loss = models::gpt_loss(model, input("tokens", DType::i64, {8, 64}),
                                       input("targets", DType::i64, {8, 64}));
  current_graph()->add_output("loss", loss.value());
  CHECK(evaluate(*current_graph(), batch(1)).outputs[0].item() == expected_loss(1));
}

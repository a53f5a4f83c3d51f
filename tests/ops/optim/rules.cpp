// The update rules against torch.optim in float64 (tests/data/optim/make.py).
#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ops/optim/adamw.h"
#include "ops/optim/sgd.h"
#include "tests/ops/step.h"

using namespace plait;
using testing::array_of;
using testing::run_step;
using testing::values_of;
using Json = nlohmann::json;

namespace {

const std::vector<std::vector<int64_t>> kShapes = {{3, 5}, {5}};

const Json& data() {
  static const Json json = Json::parse(std::ifstream(PLAIT_TEST_DATA "/optim/optim.json"));
  return json;
}

std::shared_ptr<optim::Optimizer> make(const std::string& name, const Json& c,
                                       std::vector<std::shared_ptr<Slot>> parameters) {
  const Json& a = c["arguments"];
  const auto clip = c["clip"].is_null() ? std::nullopt : std::optional(c["clip"].get<double>());
  const auto beta = [&](int i) { return a.contains("betas") ? a["betas"][i].get<double>() : 0.0; };
  if (name.starts_with("sgd")) {
    return std::make_shared<optim::SGD>(
        std::move(parameters), optim::SGDOptions{.lr = a["lr"],
                                                 .momentum = a.value("momentum", 0.0),
                                                 .nesterov = a.value("nesterov", false),
                                                 .weight_decay = a.value("weight_decay", 0.0),
                                                 .clip_norm = clip});
  }
  if (name == "adam") {
    return std::make_shared<optim::Adam>(std::move(parameters),
                                         optim::AdamOptions{.lr = a["lr"],
                                                            .beta1 = beta(0),
                                                            .beta2 = beta(1),
                                                            .weight_decay = a["weight_decay"],
                                                            .clip_norm = clip});
  }
  return std::make_shared<optim::AdamW>(
      std::move(parameters), optim::AdamWOptions{.lr = a["lr"],
                                                 .beta1 = beta(0),
                                                 .beta2 = beta(1),
                                                 .eps = a.value("eps", 1e-8),
                                                 .weight_decay = a.value("weight_decay", 1e-2),
                                                 .clip_norm = clip});
}

// Steps of the case with gradients as inputs; the largest difference of any parameter.
double largest_difference(const std::string& name, DType dtype) {
  const Json& c = data()["cases"][name];
  std::vector<std::shared_ptr<Slot>> parameters;
  std::vector<Tensor> gradients;
  reset_current_graph();
  for (size_t k = 0; k < kShapes.size(); ++k) {
    parameters.push_back(std::make_shared<Slot>("p" + std::to_string(k),
                                                array_of(dtype, kShapes[k], data()["initial"][k])));
    gradients.push_back(
        input("g" + std::to_string(k), dtype, Shape(kShapes[k].begin(), kShapes[k].end())));
  }
  const auto optimizer = make(name, c, parameters);
  optimizer->update(gradients);
  double largest = 0;
  for (size_t step = 0; step < c["parameters"].size(); ++step) {
    std::map<std::string, Array> inputs;
    for (size_t k = 0; k < kShapes.size(); ++k) {
      inputs["g" + std::to_string(k)] =
          array_of(dtype, kShapes[k], data()["gradients"][step][k].get<std::vector<double>>());
    }
    run_step(*current_graph(), *optimizer, inputs);
    CHECK(optimizer->step() == static_cast<int64_t>(step) + 1);
    for (size_t k = 0; k < kShapes.size(); ++k) {
      const std::vector<double> got = values_of(parameters[k]->value());
      const std::vector<double> expected = c["parameters"][step][k];
      REQUIRE(got.size() == expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        largest = std::max(largest, std::abs(got[i] - expected[i]));
        REQUIRE(std::isfinite(got[i]));
      }
    }
    if (!c["clip"].is_null()) {
      CHECK(optimizer->grad_norm() == Approx(c["norms"][step].get<double>()).epsilon(1e-6));
    }
  }
  return largest;
}

}  // namespace

TEST_CASE("optimizers give torch's parameters") {
  const std::string name =
      GENERATE("sgd", "sgd_decay", "sgd_momentum", "sgd_nesterov", "adam", "adamw", "adamw_clip");
  INFO(name);
  // Parameters are below 4; f32 rounds a few times a step.
  CHECK(largest_difference(name, DType::f64) < 1e-13);
  CHECK(largest_difference(name, DType::f32) < 4e-6);
}

TEST_CASE("AdamW's bf16 parameters move by steps far below their precision (D06)") {
  const auto p = std::make_shared<Slot>("p", array_of(DType::bf16, {3}, {1, 1, 1}));
  optim::AdamW optimizer({p}, {.lr = 1e-3, .weight_decay = 0.01});
  reset_current_graph();
  const Tensor g = input("g", DType::bf16, {3});
  optimizer.update(std::vector{g});
  const std::map<std::string, Array> zero = {{"g", array_of(DType::bf16, {3}, {0, 0, 0})}};
  for (int step = 0; step < 1000; ++step) run_step(*current_graph(), optimizer, zero);
  const auto state = optimizer.state();
  REQUIRE(state.back().name == "optim.master.p");
  // f32 rounds 1 - 1e-5 by up to 3e-8, and that a thousand times.
  CHECK(state.back().slot->value().at(0).as_double() == Approx(std::exp(-0.01)).margin(3e-5));
  // bf16 has 0.98828 and 0.99219 around exp(-0.01) = 0.99005.
  CHECK(p->value().at(0).as_double() == 0.98828125);

  // A value from outside wins over the master.
  p->set(array_of(DType::bf16, {3}, {2, 2, 2}));
  run_step(*current_graph(), optimizer, zero);
  CHECK(state.back().slot->value().at(0).as_double() == Approx(2 * (1 - 1e-5)));
}

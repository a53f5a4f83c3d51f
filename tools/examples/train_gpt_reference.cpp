#include "tools/examples/train_gpt_reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/io/npy.h"
#include "jit/compile.h"
#include "ops/checkpoint.h"
#include "ops/models/text.h"
#include "ops/optim/adamw.h"

namespace plait::examples {
namespace {

using Json = nlohmann::json;

constexpr double kLossTolerance = 5e-5;
constexpr double kWeightTolerance = 0.01;

// The largest difference of a tensor, as a part of the expected tensor's largest entry.
double relative_difference(const Array& got, const Array& expected) {
  double largest = 0, difference = 0;
  for (int64_t i = 0; i < expected.count(); ++i) {
    const double e = expected.data<float>()[i];
    const double d = std::abs(got.data<float>()[i] - e);
    largest = std::max(largest, std::abs(e));
    difference = std::isnan(d) ? INFINITY : std::max(difference, d);
  }
  return difference == 0 ? 0 : difference / largest;
}

std::shared_ptr<optim::AdamW> reference_optimizer(models::GPT& model, const Json& config) {
  return std::make_shared<optim::AdamW>(model.parameters(),
                                        optim::AdamWOptions{.lr = config["lr"],
                                                            .beta1 = config["betas"][0],
                                                            .beta2 = config["betas"][1],
                                                            .eps = config["eps"],
                                                            .weight_decay = config["weight_decay"],
                                                            .decay_min_rank = 2,
                                                            .clip_norm = config["clip"]});
}

double largest_weight_difference(const models::GPT& model, const std::filesystem::path& path) {
  const SafetensorsFile expected(path);
  double worst = 0;
  for (const NamedSlot& named : model.state()) {
    const double difference = relative_difference(named.slot->value(), expected.read(named.name));
    if (difference > worst / 2) {
      fmt::print("  {}: {:.3g} % of the largest entry\n", named.name, 100 * difference);
    }
    worst = std::max(worst, difference);
  }
  return worst;
}

}  // namespace

int run_reference(const TrainOptions& options) {
  const std::filesystem::path& folder = options.reference;
  std::ifstream file(folder / "reference.json");
  PLAIT_CHECK(file.good(), "reference", "cannot read '{}'", (folder / "reference.json").string());
  const Json reference = Json::parse(file);
  const Json& config = reference["config"];
  const int64_t context = config["context"], batch = config["batch"], steps = config["steps"];
  const auto text = models::TextData::load(options.text);
  PLAIT_CHECK(text.size() == reference["text_bytes"].get<int64_t>(), "reference",
              "the text must have {} bytes; '{}' has {}", reference["text_bytes"].get<int64_t>(),
              options.text.string(), text.size());
  const Array offsets = load_npy(folder / "offsets.npy");
  PLAIT_CHECK(offsets.dtype == DType::i64 && offsets.count() == steps * batch, "reference",
              "offsets.npy must be i64[{}, {}]; got {}", steps, batch, to_string(offsets.type()));

  models::GPT model({.layers = config["layers"],
                     .width = config["width"],
                     .heads = config["heads"],
                     .context = context,
                     .vocab = config["vocab"]});
  load_checkpoint(folder / "initial.safetensors", model.state());
  const Tensor tokens = input("tokens", DType::i64, {batch, context});
  const Tensor targets = input("targets", DType::i64, {batch, context});
  Program program =
      compile({models::gpt_loss(model, tokens, targets)}, reference_optimizer(model, config));

  double worst = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const std::span row(offsets.data<int64_t>() + step * batch, static_cast<size_t>(batch));
    const models::TextBatch windows = text.windows(row, context);
    const double loss =
        program.run({{"tokens", windows.tokens}, {"targets", windows.targets}})[0].item();
    const double difference = std::abs(loss - reference["loss_f64"][step].get<double>());
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
    if (step % 10 == 0 || step == steps - 1) {
      fmt::print("step {}: loss {:.9g}, off by {:.3g}\n", step, loss, difference);
    }
  }
  fmt::print("weights after {} steps:\n", steps);
  const double weights = largest_weight_difference(model, folder / "final.safetensors");
  const bool good = worst <= kLossTolerance && weights <= kWeightTolerance;
  fmt::print(
      "largest loss difference {:.3g} (at most {:.3g}), largest weight difference {:.3g} % "
      "(at most {:.3g} %): {}\n",
      worst, kLossTolerance, 100 * weights, 100 * kWeightTolerance, good ? "matches" : "DIFFERS");
  return good ? 0 : 1;
}

}  // namespace plait::examples

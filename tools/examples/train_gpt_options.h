// The command line of train_gpt.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/io/safetensors.h"
#include "ops/models/gpt.h"

namespace plait::examples {

struct TrainOptions {
  models::GPTConfig model;
  int64_t batch = 16;
  int64_t steps = 1000;
  int64_t warmup = 100;
  double lr = 3e-3;
  double final_lr = 0.1;  // as a part of lr
  double weight_decay = 0.1;
  double clip = 1.0;
  int64_t seed = 1;

  std::filesystem::path text;
  std::filesystem::path out = "build/train_gpt";
  bool resume = false;
  int64_t checkpoint_every = 200;
  int64_t evaluate_every = 250;
  int64_t log_every = 50;

  int64_t sample = 400;
  double temperature = 0.8;
  int64_t top_k = 0;
  std::string prompt = "\n";

  std::filesystem::path reference;

  // What the trained bits depend on, as text: a checkpoint keeps it, a resumed run compares it.
  Metadata identity() const;
};

// Sets Options::global() too (threads). On --help or a mistake: `exit_code` holds what main
// returns.
struct ParsedOptions {
  TrainOptions options;
  int exit_code = -1;  // -1: go on
};
ParsedOptions parse_options(int argc, char** argv);

}  // namespace plait::examples

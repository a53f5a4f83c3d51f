#include "tools/examples/train_gpt_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "core/nearest.h"
#include "core/options.h"

namespace plait::examples {
namespace {

// CLI11's message for an unknown option, with the nearest ones.
std::string unknown_option_text(const CLI::App* app, const CLI::Error& error) {
  std::string text = CLI::FailureMessage::simple(app, error);
  if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError)) return text;
  std::vector<std::string> names;
  for (const CLI::Option* option : app->get_options()) {
    if (!option->get_lnames().empty()) names.push_back("--" + option->get_lnames()[0]);
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  for (const std::string& given : app->remaining()) {
    if (given.starts_with("-"))
      text += nearest_names(given.substr(0, given.find('=')), known) + "\n";
  }
  return text;
}

// CLI11's own range checks print the largest double in full.
CLI::Validator at_least(double least) {
  const auto check = [least](const std::string& text) -> std::string {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && value >= least) return "";
    return fmt::format("must be a number of at least {}; got {}", least, text);
  };
  return {check, fmt::format(">= {}", least), "at_least"};
}

}  // namespace

ParsedOptions parse_options(int argc, char** argv) {
  ParsedOptions parsed;
  TrainOptions& o = parsed.options;
  CLI::App app("Trains a byte-level GPT on a text and prints a sample.", "train_gpt");
  app.option_defaults()->always_capture_default();
  const CLI::Validator positive = at_least(1), natural = at_least(0);
  const CLI::Range share(0.0, 1.0);

  app.add_option("--text", o.text, "The text to learn, a file of bytes; its last tenth is held out")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--out", o.out, "Folder of the checkpoint, the losses and the kernels");
  app.add_flag("--resume", o.resume, "Go on from the checkpoint in the folder");

  app.add_option("--layers", o.model.layers, "Transformer blocks")->check(natural);
  app.add_option("--width", o.model.width, "Width of the residual stream")->check(positive);
  app.add_option("--heads", o.model.heads, "Attention heads")->check(positive);
  app.add_option("--context", o.model.context, "Bytes a prediction sees")->check(positive);
  app.add_option("--batch", o.batch, "Windows in a step")->check(positive);
  app.add_option("--steps", o.steps, "Training steps")->check(natural);
  app.add_option("--lr", o.lr, "Learning rate after the warm-up")->check(natural);
  app.add_option("--warmup", o.warmup, "Steps of rising learning rate")->check(natural);
  app.add_option("--final-lr", o.final_lr, "Learning rate at the end, as a part of --lr")
      ->check(share);
  app.add_option("--weight-decay", o.weight_decay, "Of tensors with two axes")->check(natural);
  app.add_option("--clip", o.clip, "Larger gradient norms are scaled down to this one")
      ->check(natural);
  app.add_option("--seed", o.seed, "Of initial values, batches and samples");

  app.add_option("--checkpoint-every", o.checkpoint_every, "Steps between checkpoints")
      ->check(positive);
  app.add_option("--evaluate-every", o.evaluate_every, "Steps between held-out losses")
      ->check(positive);
  app.add_option("--log-every", o.log_every, "Steps between lines if stderr is no terminal")
      ->check(positive);
  app.add_option("--sample", o.sample, "Bytes of the sample printed at the end")->check(natural);
  app.add_option("--temperature", o.temperature, "Of the sample; 0: always the likeliest byte")
      ->check(natural);
  app.add_option("--top-k", o.top_k, "The sample draws among the k likeliest bytes; 0: all")
      ->check(natural);
  app.add_option("--prompt", o.prompt, "What the sample begins with")->default_str("a line break");
  app.add_option("--reference", o.reference,
                 "Run the reference in this folder (initial.safetensors, offsets.npy, "
                 "reference.json, final.safetensors) and compare, instead of training")
      ->check(CLI::ExistingDirectory);
  app.add_option("--threads", Options::global().threads,
                 "Threads that run kernels; 0: all that this process may use. Never changes a bit")
      ->check(CLI::Range(0, 1024));
  app.failure_message(unknown_option_text);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.exit_code = app.exit(error);
    return parsed;
  }
  if (o.prompt.empty()) o.prompt = "\n";
  return parsed;
}

Metadata TrainOptions::identity() const {
  Metadata m;
  const auto add = [&](const char* name, auto value) { m[name] = fmt::format("{}", value); };
  add("layers", model.layers);
  add("width", model.width);
  add("heads", model.heads);
  add("context", model.context);
  add("batch", batch);
  add("steps", steps);
  add("warmup", warmup);
  add("lr", lr);
  add("final_lr", final_lr);
  add("weight_decay", weight_decay);
  add("clip", clip);
  add("seed", seed);
  return m;
}

}  // namespace plait::examples

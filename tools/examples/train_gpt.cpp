// Trains a byte-level GPT on a text; see train_gpt_options.cpp for what can be set.
//
// A run is a function of its options: batches, initial values and samples come from the seed, and
// no number depends on threads. Stopped (Ctrl-C, SIGTERM, or killed between checkpoints) and
// started with --resume it gives the losses of a run that was not; losses.txt in the output folder
// has them exactly: step, C99 hexadecimal, decimal.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>

#include "core/error.h"
#include "core/io/file.h"
#include "jit/compile.h"
#include "ops/checkpoint.h"
#include "ops/models/text.h"
#include "ops/optim/adamw.h"
#include "ops/random.h"
#include "tools/examples/interrupt.h"
#include "tools/examples/progress.h"
#include "tools/examples/train_gpt_options.h"
#include "tools/examples/train_gpt_reference.h"

namespace plait::examples {
namespace {

namespace fs = std::filesystem;

struct Run {
  TrainOptions options;
  models::TextData text;
  models::GPT model;
  std::shared_ptr<optim::AdamW> optimizer;
  // Steps made: the data position. (The optimizer's own count misses steps that it skipped.)
  std::shared_ptr<Slot> position;

  explicit Run(const TrainOptions& o)
      : options(o),
        text(models::TextData::load(o.text)),
        model(o.model, o.seed),
        optimizer(std::make_shared<optim::AdamW>(
            model.parameters(),
            optim::AdamWOptions{.lr = o.lr,
                                .beta1 = 0.9,
                                .beta2 = 0.95,
                                .weight_decay = o.weight_decay,
                                .decay_min_rank = 2,
                                .clip_norm = o.clip,
                                .schedule = optim::warmup_cosine(
                                    o.warmup, std::max(o.warmup, o.steps), o.final_lr)})),
        position(std::make_shared<Slot>("train.step", Array::full(DType::i64, {}, {DType::i64, 0}),
                                        false)) {}

  fs::path checkpoint() const { return options.out / "checkpoint.safetensors"; }
  fs::path losses() const { return options.out / "losses.txt"; }
  fs::path kernels() const { return options.out / "kernels"; }
  int64_t step() const { return position->value().data<int64_t>()[0]; }

  std::vector<NamedSlot> state() const {
    std::vector<NamedSlot> slots = model.state();
    for (NamedSlot& named : optimizer->state()) slots.push_back(std::move(named));
    slots.push_back({"random.state", random_state()});
    slots.push_back({position->name(), position});
    return slots;
  }
  Metadata identity() const {
    Metadata metadata = options.identity();
    metadata["text_crc32"] = fmt::format("{:08x}", text.checksum());
    return metadata;
  }
  void save() const { save_checkpoint(checkpoint(), state(), identity()); }
};

// Loads the checkpoint. The model, the batches and the text must be the same; a changed schedule is
// allowed but said.
void resume(Run& run) {
  const Metadata before = load_checkpoint(run.checkpoint(), run.state());
  for (const auto& [name, value] : run.identity()) {
    const auto found = before.find(name);
    const std::string old = found == before.end() ? "unknown" : found->second;
    if (old == value) continue;
    const bool schedule = name == "steps" || name == "warmup" || name == "lr" ||
                          name == "final_lr" || name == "weight_decay" || name == "clip";
    PLAIT_CHECK(schedule, "resume", "{} was {} when '{}' was saved; got {}", name, old,
                run.checkpoint().string(), value);
    fmt::print(stderr, "note: {} was {} before, now {}\n", name, old, value);
  }
}

// The losses file with the lines of the steps before `step` alone.
std::ofstream open_losses(const fs::path& path, int64_t step) {
  std::string kept;
  std::ifstream old(path);
  std::string line;
  for (int64_t i = 0; i < step && std::getline(old, line); ++i) kept += line + "\n";
  write_file_atomic("train_gpt", path, kept);
  std::ofstream file(path, std::ios::app);
  PLAIT_CHECK(file.good(), "train_gpt", "cannot write '{}'", path.string());
  return file;
}

Program compile_training(Run& run) {
  const Shape shape = {run.options.batch, run.options.model.context};
  Options options = Options::global();
  if (options.dump.empty()) options.dump = run.kernels().string();
  const Tensor loss = models::gpt_loss(run.model, input("tokens", DType::i64, shape),
                                       input("targets", DType::i64, shape));
  return compile({loss}, run.optimizer, options);
}

class HeldOut {
 public:
  explicit HeldOut(Run& run) : run_(run), program_(compile_loss(run)) {}

  // Mean over up to `most` batches of the held-out part, in nats per byte.
  double loss(int64_t most) {
    const int64_t rows = run_.options.batch, length = run_.options.model.context;
    const int64_t count = std::min(most, run_.text.held_out_batches(rows, length));
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      const models::TextBatch batch = run_.text.held_out_batch(i, rows, length);
      sum += program_.run({{"tokens", batch.tokens}, {"targets", batch.targets}})[0].item();
    }
    return sum / static_cast<double>(count);  // NaN for a text without a held-out batch
  }

 private:
  static Program compile_loss(Run& run) {
    const Shape shape = {run.options.batch, run.options.model.context};
    return compile({models::gpt_loss(run.model, input("tokens", DType::i64, shape),
                                     input("targets", DType::i64, shape))});
  }

  Run& run_;
  Program program_;
};

// Returns the signal that stopped it, or 0.
int train(Run& run, HeldOut& held_out) {
  const TrainOptions& o = run.options;
  if (run.step() >= o.steps) return 0;
  const auto start = std::chrono::steady_clock::now();
  const CompileCount before = compile_count();
  Program program = compile_training(run);
  const CompileCount after = compile_count();
  const std::chrono::duration<double> compile_time = std::chrono::steady_clock::now() - start;
  fmt::print("{} launches a step; {} kernels compiled, {} from the cache, in {:.2f} s\n",
             program.launches(), after.kernels - before.kernels,
             after.kernels_cached - before.kernels_cached, compile_time.count());
  std::fflush(stdout);

  std::ofstream losses = open_losses(run.losses(), run.step());
  Progress progress(run.step(), o.steps, o.batch * o.model.context, o.log_every);
  while (run.step() < o.steps) {
    const int64_t step = run.step();
    const models::TextBatch batch = run.text.training_batch(o.seed, step, o.batch, o.model.context);
    const double loss =
        program.run({{"tokens", batch.tokens}, {"targets", batch.targets}})[0].item();
    losses << fmt::format("{} {:a} {:.9g}\n", step, loss, loss) << std::flush;
    const int64_t done = step + 1;
    run.position->set(Array::full(DType::i64, {}, {DType::i64, done}));
    progress.update(done, loss);
    if (!std::isfinite(run.optimizer->grad_norm())) {
      progress.clear();
      fmt::print(stderr, "step {}: gradients are not finite; the step was skipped\n", step);
    }
    if (done % o.checkpoint_every == 0 || done == o.steps || interrupted()) run.save();
    if (interrupted()) return interrupted();
    if (done % o.evaluate_every == 0 && done < o.steps) {
      constexpr int64_t kBatches = 20;
      const double value = held_out.loss(kBatches);
      progress.clear();
      fmt::print("step {}: held-out loss {:.4f} on {} batches\n", done, value, kBatches);
      std::fflush(stdout);
    }
  }
  return 0;
}

// Bytes as text: what a terminal can't show is escaped.
std::string printable(const std::vector<int64_t>& bytes) {
  std::string text;
  for (int64_t byte : bytes) {
    const bool shown = byte == '\n' || byte == '\t' || (byte >= 0x20 && byte < 0x7f);
    text += shown ? std::string(1, static_cast<char>(byte)) : fmt::format("\\x{:02x}", byte);
  }
  return text;
}

void print_sample(Run& run) {
  const TrainOptions& o = run.options;
  const Tensor tokens = input("tokens", DType::i64, {1, o.model.context});
  Program program = compile({run.model(tokens)});
  std::vector<int64_t> prompt;
  for (const char c : o.prompt) prompt.push_back(static_cast<unsigned char>(c));
  const std::vector<int64_t> bytes = models::generate(
      [&](const Array& window) { return program.run({{"tokens", window}})[0]; }, o.model, prompt,
      o.sample, {.temperature = o.temperature, .top_k = o.top_k, .seed = o.seed});
  fmt::print("sample:\n{}\n", printable(bytes));
}

int run(const TrainOptions& options) {
  if (!options.reference.empty()) return run_reference(options);
  Run run(options);
  fs::create_directories(options.out);
  if (options.resume) resume(run);
  fmt::print("{} parameters, {} bytes of text, {} of them held out; step {} of {}\n",
             run.model.parameter_count(), run.text.size(),
             run.text.size() - run.text.training_size(), run.step(), options.steps);
  catch_interrupts();
  HeldOut held_out(run);
  const int signal = train(run, held_out);
  if (signal != 0) {
    fmt::print("stopped after step {}; saved {}. Go on with --resume\n", run.step(),
               run.checkpoint().string());
    return 128 + signal;
  }
  fmt::print("held-out loss {:.4f} nats per byte\n", held_out.loss(INT64_MAX));
  fmt::print("checkpoint: {}\n", run.checkpoint().string());
  if (options.sample > 0) print_sample(run);
  const std::string& dump = Options::global().dump;
  fmt::print("kernels: {}\n", dump.empty() ? run.kernels().string() : dump);
  return 0;
}

}  // namespace
}  // namespace plait::examples

int main(int argc, char** argv) {
  try {
    const plait::examples::ParsedOptions parsed = plait::examples::parse_options(argc, argv);
    if (parsed.exit_code >= 0) return parsed.exit_code;
    return plait::examples::run(parsed.options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "train_gpt: {}\n", error.what());
    return 1;
  }
}

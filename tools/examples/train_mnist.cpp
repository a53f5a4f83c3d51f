// Trains a multilayer perceptron on Fashion-MNIST (Debian: dataset-fashion-mnist).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <numeric>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/idx.h"
#include "jit/compile.h"
#include "ops/functions.h"
#include "ops/models/shuffle.h"
#include "ops/nn/linear.h"
#include "ops/optim/adamw.h"
#include "ops/random.h"

namespace plait::examples {
namespace {

constexpr int64_t kPixels = 28 * 28;
constexpr int64_t kClasses = 10;

struct Perceptron : nn::Module {
  nn::Linear fc1, fc2, fc3;
  explicit Perceptron(int64_t width)
      : Module("mlp"), fc1(kPixels, width), fc2(width, width), fc3(width, kClasses) {
    add("fc1", fc1);
    add("fc2", fc2);
    add("fc3", fc3);
  }
  // u8[batch, pixels] -> logits [batch, classes]
  Tensor forward(const Tensor& images) override {
    return fc3(relu(fc2(relu(fc1(images * (1.0 / 255))))));
  }
};

struct Data {
  Array images;  // u8[count, kPixels]
  Array labels;  // u8[count]

  Data(const std::filesystem::path& folder, const std::string& part)
      : images(load_idx(folder / (part + "-images-idx3-ubyte.gz"))),
        labels(load_idx(folder / (part + "-labels-idx1-ubyte.gz"))) {
    PLAIT_CHECK(images.dtype == DType::u8 && images.shape.size() == 3 &&
                    images.count() == labels.count() * kPixels,
                "train_mnist", "{} needs u8 images of 28 x 28 and a label for each; got {} and {}",
                part, to_string(images.type()), to_string(labels.type()));
    images.shape = {labels.count(), kPixels};
  }
  int64_t count() const { return labels.count(); }

  // The rows of `indices`, as the inputs of a program.
  std::map<std::string, Array> rows(std::span<const int64_t> indices) const {
    const auto size = static_cast<int64_t>(indices.size());
    Array pixels = Array::empty(DType::u8, {size, kPixels});
    Array classes = Array::empty(DType::i64, {size});
    for (int64_t i = 0; i < size; ++i) {
      std::copy_n(images.data<uint8_t>() + indices[i] * kPixels, kPixels,
                  pixels.data<uint8_t>() + i * kPixels);
      classes.data<int64_t>()[i] = labels.data<uint8_t>()[indices[i]];
    }
    return {{"images", pixels}, {"labels", classes}};
  }
};

struct Settings {
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::string losses;
  int64_t epochs = 6, batch = 128, width = 256, seed = 1;
  double lr = 2e-3;
};

double accuracy(Program& predict, const Data& test, int64_t batch) {
  int64_t right = 0;
  std::vector<int64_t> indices(batch);
  for (int64_t first = 0; first + batch <= test.count(); first += batch) {
    std::iota(indices.begin(), indices.end(), first);
    const auto inputs = test.rows(indices);
    const Array classes = predict.run({{"images", inputs.at("images")}})[0];
    for (int64_t i = 0; i < batch; ++i) {
      right += classes.data<int64_t>()[i] == inputs.at("labels").data<int64_t>()[i];
    }
  }
  return static_cast<double>(right) / static_cast<double>(test.count() / batch * batch);
}

int run(const Settings& s) {
  const Data train(s.data, "train"), test(s.data, "t10k");
  manual_seed(s.seed);
  Perceptron model(s.width);
  const int64_t steps = train.count() / s.batch;
  const auto optimizer = std::make_shared<optim::AdamW>(
      model.parameters(),
      optim::AdamWOptions{.lr = s.lr,
                          .weight_decay = 0.01,
                          .decay_min_rank = 2,
                          .schedule = optim::warmup_cosine(0, s.epochs * steps, 0)});
  const Tensor images = input("images", DType::u8, {s.batch, kPixels});
  const Tensor labels = input("labels", DType::i64, {s.batch});
  Program step = compile({cross_entropy(model(images), labels)}, optimizer);

  constexpr int64_t kTestBatch = 1000;
  const Tensor test_images = input("images", DType::u8, {kTestBatch, kPixels});
  Program predict = compile({argmax(model(test_images), -1)});

  std::string losses;
  for (int64_t epoch = 0; epoch < s.epochs; ++epoch) {
    const std::vector<int64_t> order = models::shuffled(train.count(), s.seed, epoch);
    double loss = 0;
    for (int64_t i = 0; i < steps; ++i) {
      const std::span rows(order.data() + i * s.batch, static_cast<size_t>(s.batch));
      const double now = step.run(train.rows(rows))[0].item();
      losses += fmt::format("{:a}\n", now);
      loss += now;
    }
    fmt::print("epoch {}: loss {:.4f}, test accuracy {:.2f} %\n", epoch + 1,
               loss / static_cast<double>(steps), 100 * accuracy(predict, test, kTestBatch));
    std::fflush(stdout);
  }
  if (!s.losses.empty()) write_file_atomic("train_mnist", s.losses, losses);
  return 0;
}

}  // namespace
}  // namespace plait::examples

int main(int argc, char** argv) {
  plait::examples::Settings settings;
  CLI::App app("Trains a multilayer perceptron on Fashion-MNIST.", "train_mnist");
  app.option_defaults()->always_capture_default();
  app.add_option("--data", settings.data, "Folder of the gzipped IDX files")
      ->check(CLI::ExistingDirectory);
  app.add_option("--losses", settings.losses,
                 "A file for the loss of each step, in hexadecimal: python/examples/train_mnist.py "
                 "gives the same");
  app.add_option("--epochs", settings.epochs, "Passes over the training images")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--batch", settings.batch, "Images in a step")->check(CLI::Range(1, 60000));
  app.add_option("--width", settings.width, "Of the hidden layers")->check(CLI::Range(1, 1 << 20));
  app.add_option("--lr", settings.lr, "Learning rate at the start")->check(CLI::Range(0.0, 10.0));
  app.add_option("--seed", settings.seed, "Of initial values and the order of images");
  CLI11_PARSE(app, argc, argv);
  try {
    return plait::examples::run(settings);
  } catch (const std::exception& error) {
    fmt::print(stderr, "train_mnist: {}\n", error.what());
    return 1;
  }
}

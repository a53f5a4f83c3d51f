#include "ops/models/gpt.h"

#include <catch2/catch.hpp>

#include "core/io/file.h"
#include "ops/checkpoint.h"
#include "ops/models/text.h"
#include "ops/optim/adamw.h"
#include "tests/ops/models/training_graph.h"
#include "tests/ops/step.h"
#include "tests/support/error_text.h"
#include "tests/support/temporary_folder.h"

using namespace plait;
using Catch::Contains;
using models::GPT;
using models::GPTConfig;
using testing::array_of;
using testing::values_of;

namespace {

const std::string kReference = PLAIT_TEST_DATA "/gpt_kjv/";
constexpr GPTConfig kReferenceConfig = {
    .layers = 2, .width = 64, .heads = 4, .context = 64, .vocab = 256};

}  // namespace

TEST_CASE("the GPT has the reference's parameters") {
  GPT model(kReferenceConfig);
  load_checkpoint(kReference + "initial.safetensors", model.state());
  CHECK(model.parameter_count() == 120576);
  CHECK(model.named_parameters()[0].name == "tok");
  CHECK(model.named_parameters()[5].name == "h.0.attn.qkv.bias");
}

TEST_CASE("initial values are GPT-2's and follow the seed") {
  const GPTConfig config = {.layers = 2, .width = 16, .heads = 2, .context = 8, .vocab = 32};
  GPT a(config, 1), b(config, 1), c(config, 2);
  const auto value = [](GPT& model, const std::string& name) {
    for (const NamedSlot& named : model.state()) {
      if (named.name == name) return values_of(named.slot->value());
    }
    return std::vector<double>();
  };
  const auto deviation = [&](const std::string& name) {
    double squares = 0;
    const auto values = value(a, name);
    for (double x : values) squares += x * x;
    return std::sqrt(squares / static_cast<double>(values.size()));
  };
  CHECK(value(a, "tok") == value(b, "tok"));
  CHECK(value(a, "tok") != value(c, "tok"));
  CHECK(deviation("h.0.mlp.fc.weight") == Approx(0.02).epsilon(0.1));
  CHECK(deviation("h.0.mlp.proj.weight") == Approx(0.01).epsilon(0.1));
  CHECK(deviation("h.1.attn.proj.weight") == Approx(0.01).epsilon(0.2));
  CHECK(deviation("h.1.attn.qkv.bias") == 0);
  CHECK(value(a, "ln_f.weight") == std::vector<double>(16, 1.0));
}

TEST_CASE("the GPT checks shapes where it is called") {
  GPT model({.layers = 1, .width = 8, .heads = 2, .context = 4, .vocab = 16});
  reset_current_graph();
  CHECK(to_string(model(input("a", DType::i64, {3, 4})).type()) == "f32[3, 4, 16]");
  CHECK(to_string(model(input("b", DType::u8, {1, 2})).type()) == "f32[1, 2, 16]");
  CHECK_THAT(error_text<UserError>([&] { model(input("c", DType::i64, {1, 5})); }),
             Contains("[GPT]") && Contains("axis 1: 5 > 4"));
  CHECK_THAT(error_text<UserError>([&] { model(input("d", DType::i64, {5})); }),
             Contains("needs tokens [batch, length]; got i64[5]"));
  CHECK_THAT(error_text<UserError>([] { GPT({.width = 10, .heads = 4}); }),
             Contains("got width: 10, heads: 4"));
}

TEST_CASE("a resumed run gives the bits of one that was not stopped") {
  const TemporaryFolder folder;
  const GPTConfig config = {.layers = 1, .width = 8, .heads = 2, .context = 5, .vocab = 16};
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 200; ++i) bytes.push_back(i * i % 13);
  const models::TextData text(bytes);
  // Steps [first, last), from the checkpoint if there is one; saves at the end.
  const auto run = [&](int64_t first, int64_t last, const std::string& file) {
    GPT model(config, 3);
    optim::AdamW optimizer(model.parameters(), {.lr = 0.02,
                                                .decay_min_rank = 2,
                                                .clip_norm = 1,
                                                .schedule = optim::warmup_cosine(2, 6, 0.1)});
    std::vector<NamedSlot> state = model.state();
    for (const NamedSlot& named : optimizer.state()) state.push_back(named);
    if (first > 0) load_checkpoint(folder / file, state);
    const auto graph = testing::training_graph(model, optimizer, 2, 5);
    std::vector<double> losses;
    for (int64_t step = first; step < last; ++step) {
      const models::TextBatch batch = text.training_batch(9, step, 2, 5);
      losses.push_back(testing::run_step(*graph, optimizer,
                                         {{"tokens", batch.tokens}, {"targets", batch.targets}})[0]
                           .item());
    }
    save_checkpoint(folder / file, state);
    return losses;
  };
  const std::vector<double> whole = run(0, 6, "whole");
  std::vector<double> parts = run(0, 2, "parts");
  for (double loss : run(2, 6, "parts")) parts.push_back(loss);
  CHECK(whole == parts);
  CHECK(whole.front() != whole.back());
  CHECK(read_file("test", folder / "whole") == read_file("test", folder / "parts"));
}

TEST_CASE("samples are drawn from the softmax, by seed and position") {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f), -INFINITY};
  std::vector<int> count(4);
  for (int64_t i = 0; i < 8000; ++i) ++count[models::sample(logits, i, {.seed = 3})];
  CHECK(count[0] == Approx(1000).margin(130));
  CHECK(count[1] == Approx(2000).margin(160));
  CHECK(count[2] == Approx(5000).margin(180));
  CHECK(count[3] == 0);
  int first = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    CHECK(models::sample(logits, i, {.temperature = 0}) == 2);
    CHECK(models::sample(logits, i, {.top_k = 1}) == 2);
    const int64_t token = models::sample(logits, i, {.top_k = 2});
    CHECK(token >= 1);
    first += token == 1;
  }
  CHECK(first == Approx(1000 * 2 / 7).margin(60));
  CHECK(models::sample(std::vector<float>{1, 1}, 0, {.temperature = 0}) == 0);
  CHECK_THAT(error_text<UserError>([] { models::sample(std::vector{NAN, 1.0f}, 0, {}); }),
             Contains("must be finite"));
  CHECK_THAT(error_text<UserError>([&] { models::sample(logits, 0, {.temperature = -1}); }),
             Contains("got -1"));
}

TEST_CASE("generation slides its window over the context") {
  const GPTConfig config = {.context = 3, .vocab = 10};
  std::vector<std::vector<double>> windows;
  // A model that always wants the next integer.
  const auto model = [&](const Array& tokens) {
    windows.push_back(values_of(tokens));
    Array logits = Array::full(DType::f32, {1, 3, 10}, {DType::f32, 0});
    for (int64_t i = 0; i < 3; ++i) {
      logits.data<float>()[i * 10 + (tokens.at(i).as_int() + 1) % 10] = 5;
    }
    return logits;
  };
  CHECK(models::generate(model, config, {4, 5}, 3, {.temperature = 0}) ==
        std::vector<int64_t>{4, 5, 6, 7, 8});
  CHECK(windows == std::vector<std::vector<double>>{{4, 5, 0}, {4, 5, 6}, {5, 6, 7}});
  CHECK_THAT(error_text<UserError>([&] { models::generate(model, config, {}, 3, {}); }),
             Contains("needs a prompt"));
}

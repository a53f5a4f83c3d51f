#include "ops/models/text.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <set>

#include "core/random.h"
#include "tests/ops/step.h"
#include "tests/support/error_text.h"

using namespace plait;
using models::TextBatch;
using models::TextData;
using testing::values_of;

namespace {

// Byte i is i.
TextData counting(int size) {
  std::vector<uint8_t> text(size);
  std::iota(text.begin(), text.end(), 0);
  return TextData(text);
}

}  // namespace

TEST_CASE("batches are windows of the training part, by seed and step") {
  const TextData data = counting(100);
  CHECK(data.training_size() == 90);
  std::set<double> starts;
  for (int64_t step = 0; step < 200; ++step) {
    const TextBatch batch = data.training_batch(7, step, 3, 4);
    const auto tokens = values_of(batch.tokens), targets = values_of(batch.targets);
    for (size_t i = 0; i < 12; ++i) {
      CHECK(targets[i] == tokens[i] + 1);
      CHECK(tokens[i] == tokens[i / 4 * 4] + static_cast<double>(i % 4));
      CHECK(targets[i] < 90);
    }
    starts.insert(tokens[0]);
    CHECK(values_of(data.training_batch(7, step, 3, 4).tokens) == tokens);
  }
  CHECK(starts.size() > 70);  // of 86
  CHECK(values_of(data.training_batch(8, 0, 3, 4).tokens) !=
        values_of(data.training_batch(7, 0, 3, 4).tokens));
  const uint64_t bits = random::element_bits(2, 7, 5, models::kBatchSalt);
  CHECK(data.training_batch(7, 5, 3, 4).tokens.at(8).as_int() ==
        static_cast<int64_t>(bits * 86 >> 32));
}

TEST_CASE("held-out batches cover the last tenth once") {
  const TextData data = counting(200);  // 20 held out: 19 targets, 6 windows of 3
  CHECK(data.held_out_batches(2, 3) == 3);
  CHECK(data.held_out_batches(4, 3) == 1);
  CHECK(data.held_out_batches(1, 20) == 0);
  CHECK(values_of(data.held_out_batch(0, 2, 3).tokens) ==
        std::vector<double>{180, 181, 182, 183, 184, 185});
  CHECK(values_of(data.held_out_batch(2, 2, 3).targets) ==
        std::vector<double>{193, 194, 195, 196, 197, 198});
}

TEST_CASE("a text that is too short is an error") {
  CHECK_THAT(error_text<UserError>([] { counting(8).training_batch(0, 0, 1, 8); }),
             Catch::Contains("got 8 bytes for windows of 9"));
  CHECK_THAT(error_text<UserError>([] { TextData({}).training_batch(0, 0, 1, 8); }),
             Catch::Contains("got 0 bytes"));
  const std::vector<int64_t> offsets = {5};
  CHECK_THAT(error_text<UserError>([&] { counting(8).windows(offsets, 3); }),
             Catch::Contains("got offset 5 of 8"));
  CHECK_THAT(error_text<UserError>([] { TextData::load("/no/such/file"); }),
             Catch::Contains("/no/such/file"));
}

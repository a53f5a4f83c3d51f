#include "ops/checkpoint.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "ops/models/gpt.h"
#include "tests/ops/step.h"
#include "tests/support/error_text.h"
#include "tests/support/temporary_folder.h"

using namespace plait;
using Catch::Contains;
using testing::array_of;
using testing::values_of;

namespace {

NamedSlot named(const std::string& name, Array value) {
  return {name, std::make_shared<Slot>(name, std::move(value))};
}
Array f32(std::vector<double> v) {
  const auto count = static_cast<int64_t>(v.size());
  return array_of(DType::f32, {count}, v);
}

}  // namespace

TEST_CASE("a checkpoint gives back every slot and the metadata") {
  const TemporaryFolder folder;
  const auto path = folder / "c.safetensors";
  const std::vector<NamedSlot> saved = {named("a", f32({1, -0.0, 3.5})),
                                        named("b.step", array_of(DType::i64, {}, {7})),
                                        named("empty", array_of(DType::bf16, {0, 3}, {}))};
  save_checkpoint(path, saved, {{"model", "tiny"}});
  const std::vector<NamedSlot> loaded = {named("a", f32({0, 0, 0})),
                                         named("b.step", array_of(DType::i64, {}, {0})),
                                         named("empty", array_of(DType::bf16, {0, 3}, {}))};
  CHECK(load_checkpoint(path, loaded) == Metadata{{"model", "tiny"}});
  CHECK(values_of(loaded[0].slot->value()) == std::vector<double>{1, 0, 3.5});
  CHECK(std::signbit(loaded[0].slot->value().at(1).as_double()));
  CHECK(loaded[1].slot->value().item() == 7);
}

TEST_CASE("a checkpoint that does not fit sets nothing and names all that is wrong") {
  const TemporaryFolder folder;
  const auto path = folder / "c.safetensors";
  save_checkpoint(
      path, std::vector{named("a", f32({1, 2})), named("b", f32({3})), named("extra", f32({4}))});
  const std::vector<NamedSlot> slots = {named("a", f32({0, 0, 0})), named("b", f32({0})),
                                        named("c", f32({0}))};
  const std::string text = error_text<UserError>([&] { load_checkpoint(path, slots); });
  CHECK_THAT(text, Contains("[load_checkpoint]") && Contains("missing: 'c'"));
  CHECK_THAT(text, Contains("unexpected: 'extra'"));
  CHECK_THAT(text, Contains("'a' is f32[2] in the file, f32[3] here"));
  CHECK(slots[1].slot->value().item() == 0);

  const std::vector<NamedSlot> part = {named("b", f32({0}))};
  CHECK_THAT(error_text<UserError>([&] { load_checkpoint(path, part); }),
             Contains("unexpected: 'a', 'extra'"));
  load_checkpoint(path, part, {.ignore_unexpected = true});
  CHECK(part[0].slot->value().item() == 3);

  const std::vector<NamedSlot> other = {named("b", array_of(DType::f64, {1}, {0}))};
  CHECK_THAT(
      error_text<UserError>([&] { load_checkpoint(path, other, {.ignore_unexpected = true}); }),
      Contains("'b' is f32[1] in the file, f64[1] here"));
}

TEST_CASE("long lists of names are cut") {
  const TemporaryFolder folder;
  const auto path = folder / "c.safetensors";
  save_checkpoint(path, std::vector<NamedSlot>{});
  std::vector<NamedSlot> slots;
  for (int i = 0; i < 8; ++i) slots.push_back(named("p" + std::to_string(i), f32({0})));
  CHECK_THAT(error_text<UserError>([&] { load_checkpoint(path, slots); }),
             Contains("missing: 'p0', 'p1', 'p2', 'p3', 'p4' and 3 more"));
}

TEST_CASE("damaged bytes and double names are errors") {
  const TemporaryFolder folder;
  const auto path = folder / "c.safetensors";
  const std::vector<NamedSlot> slots = {named("a", f32({1, 2, 3}))};
  save_checkpoint(path, slots);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end).put('\x41');
  file.close();
  CHECK_THAT(error_text<UserError>([&] { load_checkpoint(path, slots); }),
             Contains("is damaged; the bytes of 'a' have CRC-32"));
  CHECK(slots[0].slot->value().at(2).as_double() == 3);
  CHECK_THAT(error_text<UserError>([&] { save_checkpoint(path, std::vector{slots[0], slots[0]}); }),
             Contains("two slots are named 'a'"));
}

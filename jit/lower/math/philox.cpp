// Philox-4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// 2011).
//
// The words live in 64-bit lanes whose upper halves are rubbish between rounds: a multiplication of
// masked words is one instruction on x86 (vpmuludq) that ignores the upper halves, and gives both
// halves of the product. Round keys depend on the key alone, so they leave loops.
#include "jit/lower/math.h"
#include "jit/lower/math/number.h"

namespace plait::lower {

using math::Number;

namespace {

constexpr uint64_t kMultiplier[2] = {0xD2511F53, 0xCD9E8D57};
constexpr uint64_t kWeyl[2] = {0x9E3779B9, 0xBB67AE85};  // golden ratio, sqrt(3) - 1
constexpr int kRounds = 10;

Number wide_product(Number word, uint64_t multiplier) {
  return (word & word.like_integer(0xffffffff))
      .binary(kernel::Op::mul, word.like_integer(multiplier));
}

}  // namespace

std::array<kernel::ValueId, 4> emit_philox(kernel::Builder& builder,
                                           const std::array<kernel::ValueId, 4>& counter_words,
                                           const std::array<kernel::ValueId, 2>& key_words) {
  auto wide = [&](kernel::ValueId word) { return Number(builder, word).cast(DType::u64); };
  const Number key[2] = {wide(key_words[0]), wide(key_words[1])};
  Number counter[4] = {wide(counter_words[0]), wide(counter_words[1]), wide(counter_words[2]),
                       wide(counter_words[3])};
  for (uint64_t round = 0; round < kRounds; ++round) {
    const Number round_key[2] = {key[0] + key[0].like_integer(round * kWeyl[0]),
                                 key[1] + key[1].like_integer(round * kWeyl[1])};
    const Number product[2] = {wide_product(counter[0], kMultiplier[0]),
                               wide_product(counter[2], kMultiplier[1])};
    counter[0] = (product[1] >> 32) ^ counter[1] ^ round_key[0];
    counter[2] = (product[0] >> 32) ^ counter[3] ^ round_key[1];
    counter[1] = product[1];
    counter[3] = product[0];
  }
  return {counter[0].cast(DType::u32).id(), counter[1].cast(DType::u32).id(),
          counter[2].cast(DType::u32).id(), counter[3].cast(DType::u32).id()};
}

}  // namespace plait::lower

// The random generator: the single statement of what `random(key, salt)` gives.
//
// Philox-4x32-10 (Salmon et al., SC'11). For a draw with key = i64[seed, step] and a salt, the bits
// of the element with row-major index e in the draw's own (logical, unsplit) shape are word e mod 4
// of philox4x32_10(counter, key) with
//   counter = { low32(e / 4), high32(e / 4), low32(step), low32(salt) }
//   key     = { low32(seed), high32(seed) }
// so the value depends on nothing but (seed, step, salt, e): not on how the tensor is split,
// vectorised or recomputed. Four neighbouring elements share one counter.
#pragma once

#include <array>
#include <cstdint>

namespace plait::random {

inline constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53;
inline constexpr uint32_t kPhiloxMultiplier1 = 0xCD9E8D57;
inline constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9;  // added to key word 0 after each round
inline constexpr uint32_t kPhiloxWeyl1 = 0xBB67AE85;  // added to key word 1
inline constexpr int kPhiloxRounds = 10;

using Counter = std::array<uint32_t, 4>;
using Key = std::array<uint32_t, 2>;

constexpr Counter philox4x32_10(Counter c, Key k) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t p0 = uint64_t{kPhiloxMultiplier0} * c[0];
    const uint64_t p1 = uint64_t{kPhiloxMultiplier1} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    k[0] += kPhiloxWeyl0;
    k[1] += kPhiloxWeyl1;
  }
  return c;
}

constexpr Counter counter_of(uint64_t element, int64_t step, uint64_t salt) {
  const uint64_t block = element / 4;
  return {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
          static_cast<uint32_t>(step), static_cast<uint32_t>(salt)};
}

constexpr Key key_of(int64_t seed) {
  return {static_cast<uint32_t>(seed), static_cast<uint32_t>(static_cast<uint64_t>(seed) >> 32)};
}

// The 32 bits of one element.
constexpr uint32_t element_bits(uint64_t element, int64_t seed, int64_t step, uint64_t salt) {
  return philox4x32_10(counter_of(element, step, salt), key_of(seed))[element % 4];
}

}  // namespace plait::random

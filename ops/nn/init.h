// Initial values of parameters, drawn on the host.
//
// A draw uses Plait's Philox (core/random.h) with the seed and step of the process' random state
// (ops/random.h) and salt kInitSalt, and then advances the step: a tensor's values depend on
// manual_seed(), on its place in the order of draws since then, and on its element count alone. C++
// and Python models that draw in the same order hold equal bits.
#pragma once

#include <cstdint>
#include <vector>

#include "core/slot.h"

namespace plait::nn {

// Above every salt that a trace gives to its own draws.
inline constexpr uint64_t kInitSalt = 0xFFFFFFFF;

namespace init {

Array zeros(std::vector<int64_t> shape);
Array ones(std::vector<int64_t> shape);

// f32 in [low, high): low + (high - low) * (bits >> 8) / 2^24, computed in double.
Array uniform(std::vector<int64_t> shape, double low, double high);

// f32, by Box and Muller: the words w0…w3 of a Philox block become uniforms u = (w + 0.5) / 2^32
// and those r0·cos t1, r0·sin t1, r2·cos t3, r2·sin t3 with r = sqrt(-2 ln u), t = 2·pi·u.
Array normal(std::vector<int64_t> shape, double mean, double standard_deviation);

}  // namespace init
}  // namespace plait::nn

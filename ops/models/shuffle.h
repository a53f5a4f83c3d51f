// The order in which an epoch goes through its examples.
#pragma once

#include <cstdint>
#include <vector>

namespace plait::models {

// The numbers below `count` in an order that is a function of (seed, epoch): Fisher and Yates with
// the Philox words of (seed, epoch) and a salt of their own. `count` is below 2^32.
std::vector<int64_t> shuffled(int64_t count, int64_t seed, int64_t epoch);

}  // namespace plait::models

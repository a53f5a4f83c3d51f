// The state of the random generator and its draws.
#pragma once

#include "core/slot.h"
#include "ops/tensor.h"

namespace plait {

// The process' random state, i64[2]: the seed and the step. Every draw reads it at run time, so a
// program that was compiled once draws new numbers when the driver has advanced the step.
std::shared_ptr<Slot> random_state();
// Sets the seed and starts again at step 0.
void manual_seed(int64_t seed);

namespace detail {

// 32 random bits for each element. The salt is the ordinal of the draw in its graph, so that two
// draws of one trace differ and a retrace repeats them.
Tensor random_bits(const std::shared_ptr<Graph>& graph, const Shape& shape);
// Uniform in [0, 1) with all digits of the dtype (24 bits for f32): never 1.
Tensor random_uniform(const std::shared_ptr<Graph>& graph, const Shape& shape, DType dtype);

}  // namespace detail
}  // namespace plait

// The machine's bf16 dot product in vectors, measured by its instruction.
#pragma once

#include <cstdint>

namespace plait::bench {

// Whether the CPU multiplies pairs of bf16 and adds them to f32 in one vector instruction.
bool has_bf16_dot();
// `depth` steps of independent chains of that instruction, in registers. Returns the FLOPs done:
// two for each product. Needs has_bf16_dot().
double run_bf16_dots(int64_t depth);

}  // namespace plait::bench

// Learning-rate schedules: factors on the learning rate by the number of updates already made.
// They run on the host; the rate is an input of the step, so changing one compiles nothing.
#pragma once

#include <cstdint>
#include <functional>

namespace plait::optim {

using Schedule = std::function<double(int64_t step)>;

Schedule constant();

// Rises in equal parts, (step + 1) / steps, to 1 at the last of `steps` updates; then 1.
Schedule warmup(int64_t steps);

// `warmup_steps` as above, then half a cosine from 1 down to `final_fraction` at `total_steps`, and
// `final_fraction` from there on (SGDR, Loshchilov and Hutter 2017, without restarts):
// final + (1 - final) · (1 + cos(pi · progress)) / 2.
Schedule warmup_cosine(int64_t warmup_steps, int64_t total_steps, double final_fraction);

}  // namespace plait::optim

#include "ops/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace plait::optim {

Schedule constant() {
  return [](int64_t) { return 1.0; };
}

Schedule warmup(int64_t steps) {
  PLAIT_CHECK(steps >= 0, "warmup", "steps must not be negative; got {}", steps);
  return [steps](int64_t step) {
    return step < steps ? static_cast<double>(step + 1) / static_cast<double>(steps) : 1.0;
  };
}

Schedule warmup_cosine(int64_t warmup_steps, int64_t total_steps, double final_fraction) {
  PLAIT_CHECK(warmup_steps >= 0 && total_steps >= warmup_steps, "warmup_cosine",
              "needs 0 <= warmup_steps <= total_steps; got warmup_steps: {}, total_steps: {}",
              warmup_steps, total_steps);
  return [=, rise = warmup(warmup_steps)](int64_t step) {
    if (step < warmup_steps) return rise(step);
    if (step >= total_steps) return final_fraction;
    const double progress =
        static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
    return final_fraction + (1 - final_fraction) * (1 + std::cos(std::numbers::pi * progress)) / 2;
  };
}

}  // namespace plait::optim

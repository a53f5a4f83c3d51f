#include "ops/models/shuffle.h"

#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/random.h"

namespace plait::models {

std::vector<int64_t> shuffled(int64_t count, int64_t seed, int64_t epoch) {
  constexpr uint64_t kSalt = 0xFFFFFFFC;
  PLAIT_CHECK(count >= 0 && count < int64_t{1} << 32, "shuffled",
              "the count lies in [0, 2^32); got {}", count);
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = count - 1; i > 0; --i) {
    const uint64_t bits = random::element_bits(static_cast<uint64_t>(i), seed, epoch, kSalt);
    std::swap(order[i], order[(bits * static_cast<uint64_t>(i + 1)) >> 32]);
  }
  return order;
}

}  // namespace plait::models

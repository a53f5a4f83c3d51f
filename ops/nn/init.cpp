#include "ops/nn/init.h"

#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/random.h"
#include "ops/random.h"

namespace plait::nn {
namespace {

// Calls element(index, the four words of its block) for each element of a fresh f32 array.
template <class Element>
Array draw(std::vector<int64_t> shape, const Element& element) {
  Array array = Array::empty(DType::f32, std::move(shape));
  Array state = random_state()->value().clone();
  const random::Key key = random::key_of(state.data<int64_t>()[0]);
  const int64_t step = state.data<int64_t>()[1]++;
  random_state()->set(std::move(state));
  auto* values = array.data<float>();
  const int64_t count = array.count();
  for (int64_t first = 0; first < count; first += 4) {
    const random::Counter words =
        random::philox4x32_10(random::counter_of(first, step, kInitSalt), key);
    for (int64_t i = 0; i < 4 && first + i < count; ++i) {
      values[first + i] = static_cast<float>(element(i, words));
    }
  }
  return array;
}

}  // namespace

namespace init {

Array zeros(std::vector<int64_t> shape) {
  return Array::full(DType::f32, std::move(shape), Scalar(DType::f32, 0));
}

Array ones(std::vector<int64_t> shape) {
  return Array::full(DType::f32, std::move(shape), Scalar(DType::f32, 1));
}

Array uniform(std::vector<int64_t> shape, double low, double high) {
  PLAIT_CHECK(low <= high, "init.uniform", "low must not exceed high; got low: {}, high: {}", low,
              high);
  return draw(std::move(shape), [&](int64_t i, const random::Counter& words) {
    return low + (high - low) * (static_cast<double>(words[i] >> 8) * 0x1p-24);
  });
}

Array normal(std::vector<int64_t> shape, double mean, double standard_deviation) {
  PLAIT_CHECK(standard_deviation >= 0, "init.normal",
              "the standard deviation must not be negative; got {}", standard_deviation);
  return draw(std::move(shape), [&](int64_t i, const random::Counter& words) {
    const int64_t pair = i / 2 * 2;
    const double radius = std::sqrt(-2.0 * std::log((words[pair] + 0.5) * 0x1p-32));
    const double angle = 2.0 * std::numbers::pi * ((words[pair + 1] + 0.5) * 0x1p-32);
    return mean + standard_deviation * radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
  });
}

}  // namespace init
}  // namespace plait::nn

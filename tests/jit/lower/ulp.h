// Errors in units in the last place.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace plait::testing {

// |y - reference| in units of the last place that `reference` has as a T. 0 if both are NaN or
// the same infinity; infinite if only one is NaN, or if a zero has the wrong sign. Around the
// overflow an infinity beside the largest number counts as 1.
template <class T, class Real>
double ulp_error(T y, Real reference) {
  using Limits = std::numeric_limits<T>;
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  const T rounded = static_cast<T>(reference);
  if (std::isnan(y) || std::isnan(rounded)) {
    return std::isnan(y) && std::isnan(rounded) ? 0 : kWrong;
  }
  if (std::isinf(y) || std::isinf(rounded)) {
    if (y == rounded) return 0;
    const T other = std::isinf(y) ? rounded : y;
    const bool beside = std::fabs(other) == Limits::max() && std::signbit(y) == std::signbit(other);
    return beside && std::signbit(y) == std::signbit(rounded) ? 1 : kWrong;
  }
  if (y == 0 && rounded == 0 && std::signbit(y) != std::signbit(rounded)) return kWrong;
  const int smallest = Limits::min_exponent - 1;
  const int exponent = reference == 0 ? smallest : std::max(std::ilogb(reference), smallest);
  const Real unit = std::ldexp(Real{1}, exponent - Limits::digits + 1);
  return static_cast<double>(std::fabs(static_cast<Real>(y) - reference) / unit);
}

// The worst error met, and where.
template <class T>
struct Worst {
  double error = 0;
  T x{}, y{}, got{};

  void meet(double ulp, T at_x, T at_y, T result) {
    if (ulp > error) *this = {ulp, at_x, at_y, result};
  }
  std::string where() const { return fmt::format(" at {:a}, {:a}: {:a}", x, y, got); }
};

}  // namespace plait::testing

// Accuracy of the scalar functions, in ulp, against std:: functions of higher precision. The bounds
// are the largest errors known, rounded up. The nightly test tries every f32.
#include "jit/lower/math.h"

#include <catch2/catch.hpp>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tests/jit/lower/run_scalar_function.h"
#include "tests/jit/lower/ulp.h"

namespace plait {
namespace {

static_assert(LDBL_MANT_DIG >= 64, "the reference of f64 needs more bits than f64");

using testing::ScalarFunction;
using testing::ulp_error;
using testing::Worst;

template <class T>
constexpr DType kDType = sizeof(T) == 4 ? DType::f32 : DType::f64;

Backend& llvm_backend() {
  static const std::unique_ptr<Backend> backend = make_llvm_backend();
  return *backend;
}

struct UnaryCase {
  UnaryOp op;
  double (*reference)(double);
  long double (*wide_reference)(long double);
  double bound_f32, bound_f64;
};

template <class Real>
Real reciprocal_root(Real x) {
  return 1 / std::sqrt(x);
}

const UnaryCase kUnaryCases[] = {
    {UnaryOp::rsqrt, reciprocal_root, reciprocal_root, 1.5, 1.5},
    {UnaryOp::exp, std::exp, std::exp, 0.95, 0.95},
    {UnaryOp::expm1, std::expm1, std::expm1, 1.35, 1.35},
    {UnaryOp::log, std::log, std::log, 0.95, 0.85},
    {UnaryOp::log1p, std::log1p, std::log1p, 1.05, 0.95},
    {UnaryOp::log2, std::log2, std::log2, 1.1, 1.1},
    {UnaryOp::sin, std::sin, std::sin, 1.55, 0.9},
    {UnaryOp::cos, std::cos, std::cos, 1.55, 0.9},
    {UnaryOp::tanh, std::tanh, std::tanh, 1.4, 1.4},
    {UnaryOp::erf, std::erf, std::erf, 1.1, 1.0},
};

// Every `step`-th f32.
Worst<float> sweep_f32(const UnaryCase& c, uint64_t step) {
  const ScalarFunction function(llvm_backend(), c.op, DType::f32);
  Worst<float> worst;
  std::vector<float> x(1 << 16);
  for (uint64_t next = 0; next < uint64_t{1} << 32;) {
    for (float& value : x) {
      const auto bits = static_cast<uint32_t>(next);
      std::memcpy(&value, &bits, sizeof bits);
      next += step;  // the last block wraps around
    }
    const std::vector<float> y = function.run<float, float>({x});
    for (size_t i = 0; i < x.size(); ++i) {
      worst.meet(ulp_error(y[i], c.reference(x[i])), x[i], 0, y[i]);
    }
  }
  return worst;
}

// A third random bits, a third from exponents around 1, a third near multiples of pi / 2.
std::vector<double> samples_f64(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> mantissa(-2, 2);
  std::vector<double> x(count);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t bits = random();
    if (i % 3 == 0) std::memcpy(&x[i], &bits, sizeof bits);
    if (i % 3 == 1) x[i] = std::ldexp(mantissa(random), static_cast<int>(bits % 70) - 60);
    if (i % 3 == 2) x[i] = static_cast<double>(bits >> (bits % 60)) * 1.5707963267948966;
  }
  return x;
}

TEST_CASE("f32 functions stay within their bounds", "[math]") {
  for (const UnaryCase& c : kUnaryCases) {
    const Worst<float> worst = sweep_f32(c, 2039);
    INFO(name_of(c.op) << worst.where());
    CHECK(worst.error <= c.bound_f32);
  }
}

TEST_CASE("f32 functions stay within their bounds for every argument", "[.nightly]") {
  for (const UnaryCase& c : kUnaryCases) {
    DYNAMIC_SECTION(name_of(c.op)) {  // alone: -c NAME
      const Worst<float> worst = sweep_f32(c, 1);
      WARN(name_of(c.op) << " " << worst.error << worst.where());
      CHECK(worst.error <= c.bound_f32);
    }
  }
}

TEST_CASE("f64 functions stay within their bounds", "[math]") {
  std::vector<double> x = samples_f64(90'000, 1);
  // The double nearest to a multiple of pi / 2 (Muller et al., "Handbook of Floating-Point
  // Arithmetic", 11.1), where the reduction loses most bits, and neighbours of branch points.
  x.push_back(std::ldexp(6381956970095103.0, 797));
  for (double edge :
       {0.625, 0.9375, 6.0, 0.41421356237309503, 1.4142135623730951, 0.34657359027997264,
        709.782712893384, -745.1332191019411, -708.3964185322641, -37.42994775023705}) {
    for (double y : {edge, std::nextafter(edge, 1e9), std::nextafter(edge, -1e9)}) {
      x.push_back(y);
      x.push_back(-y);
    }
  }
  for (const UnaryCase& c : kUnaryCases) {
    const ScalarFunction function(llvm_backend(), c.op, DType::f64);
    const std::vector<double> y = function.run<double, double>({x});
    Worst<double> worst;
    for (size_t i = 0; i < x.size(); ++i) {
      worst.meet(ulp_error(y[i], c.wide_reference(x[i])), x[i], 0, y[i]);
    }
    INFO(name_of(c.op) << worst.where());
    CHECK(worst.error <= c.bound_f64);
  }
}

// Bases and exponents of all sizes, and for pow such that results spread over the whole range.
template <class T>
void sample_pairs(BinaryOp op, size_t count, std::vector<T>& a, std::vector<T>& b) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> unit(-1, 1);
  auto any = [&] {
    T value;
    const uint64_t bits = random();
    std::memcpy(&value, &bits, sizeof value);
    return value;
  };
  const double range = sizeof(T) == 4 ? 150 : 1076;
  for (size_t i = 0; i < count; ++i) {
    a.push_back(any());
    if (i % 4 == 0) {
      b.push_back(any());
    } else if (op == BinaryOp::pow) {
      if (i % 4 > 1) a[i] = static_cast<T>(std::ldexp(1.5 + unit(random) / 2, i % 8 > 3 ? -1 : 0));
      const double log2 = std::log2(std::fabs(static_cast<double>(a[i])));
      const double exponent = range * unit(random) / (log2 == 0 ? 1 : log2);
      b.push_back(static_cast<T>(i % 8 == 1 ? std::round(exponent) : exponent));
      if (i % 8 != 1) a[i] = std::fabs(a[i]);
    } else {
      const int exponent = static_cast<int>(random() % 30) - 15;
      b.push_back(a[i] * static_cast<T>(std::ldexp(unit(random), exponent)));
    }
  }
}

template <class T, class Real>
Worst<T> worst_of_pairs(BinaryOp op, Real (*reference)(Real, Real), size_t count) {
  std::vector<T> a, b;
  sample_pairs(op, count, a, b);
  const ScalarFunction function(llvm_backend(), op, kDType<T>);
  const std::vector<T> y = function.run<T, T>({a, b});
  Worst<T> worst;
  for (size_t i = 0; i < count; ++i) {
    worst.meet(ulp_error(y[i], reference(a[i], b[i])), a[i], b[i], y[i]);
  }
  return worst;
}

TEST_CASE("pow and atan2 stay within their bounds", "[math]") {
  auto check = [](const auto& worst, double bound) {
    INFO(worst.where());
    CHECK(worst.error <= bound);
  };
  check(worst_of_pairs<float, double>(BinaryOp::pow, std::pow, 1'000'000), 0.7);
  check(worst_of_pairs<float, double>(BinaryOp::atan2, std::atan2, 1'000'000), 1.6);
  check(worst_of_pairs<double, long double>(BinaryOp::pow, std::pow, 200'000), 0.8);
  check(worst_of_pairs<double, long double>(BinaryOp::atan2, std::atan2, 200'000), 1.6);
}

}  // namespace
}  // namespace plait

// Special values, functions of integers, Philox, and equal bits on every backend.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "jit/lower/math.h"
#include "tests/jit/lower/run_scalar_function.h"

namespace plait {
namespace {

using testing::ScalarFunction;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

const std::vector<std::unique_ptr<Backend>>& backends() {
  static const auto all = [] {
    std::vector<std::unique_ptr<Backend>> list;
    list.push_back(make_interpreter_backend());
    list.push_back(make_llvm_backend());
    return list;
  }();
  return all;
}

template <class T>
constexpr DType kDType = DType::f64;
template <>
constexpr DType kDType<float> = DType::f32;
template <>
constexpr DType kDType<int32_t> = DType::i32;
template <>
constexpr DType kDType<uint8_t> = DType::u8;
template <>
constexpr DType kDType<bool> = DType::boolean;

// Equal, with the sign of zeros; NaN equals NaN.
template <class T>
bool same(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
  } else {
    return a == b;
  }
}

// Element type of a vector of `T` that is no std::vector<bool>.
template <class T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

template <class Result, class T>
void expect_unary(UnaryOp op, T x, Result expected) {
  for (const auto& backend : backends()) {
    const ScalarFunction function(*backend, op, kDType<T>);
    const auto got = function.run<Stored<Result>, Stored<T>>({{x}})[0];
    CAPTURE(backend->name(), name_of(op), x, got, expected);
    CHECK(same<Stored<Result>>(got, expected));
  }
}

template <class Result, class T>
void expect_binary(BinaryOp op, T a, T b, Result expected) {
  for (const auto& backend : backends()) {
    const ScalarFunction function(*backend, op, kDType<T>);
    const auto got = function.run<Stored<Result>, Stored<T>>({{a}, {b}})[0];
    CAPTURE(backend->name(), name_of(op), a, b, got, expected);
    CHECK(same<Stored<Result>>(got, expected));
  }
}

struct SpecialValue {
  UnaryOp op;
  double x, expected;
};

const SpecialValue kSpecialValues[] = {
    {UnaryOp::sign, -2.5, -1},
    {UnaryOp::sign, 7, 1},
    {UnaryOp::sign, -0.0, 0},
    {UnaryOp::sign, kNaN, kNaN},
    {UnaryOp::sign, -kInf, -1},
    {UnaryOp::round, 2.5, 2},
    {UnaryOp::round, -0.4, -0.0},
    {UnaryOp::sqrt, -1, kNaN},
    {UnaryOp::sqrt, -0.0, -0.0},
    {UnaryOp::rsqrt, 0, kInf},
    {UnaryOp::rsqrt, -0.0, -kInf},
    {UnaryOp::rsqrt, kInf, 0},
    {UnaryOp::rsqrt, -1, kNaN},
    {UnaryOp::exp, 0, 1},
    {UnaryOp::exp, -0.0, 1},
    {UnaryOp::exp, kInf, kInf},
    {UnaryOp::exp, -kInf, 0},
    {UnaryOp::exp, 1e4, kInf},
    {UnaryOp::exp, -1e4, 0},
    {UnaryOp::exp, kNaN, kNaN},
    {UnaryOp::expm1, -0.0, -0.0},
    {UnaryOp::expm1, 0, 0},
    {UnaryOp::expm1, -kInf, -1},
    {UnaryOp::expm1, kInf, kInf},
    {UnaryOp::expm1, -50, -1},
    {UnaryOp::expm1, kNaN, kNaN},
    {UnaryOp::log, 1, 0},
    {UnaryOp::log, 0, -kInf},
    {UnaryOp::log, -0.0, -kInf},
    {UnaryOp::log, -1, kNaN},
    {UnaryOp::log, kInf, kInf},
    {UnaryOp::log, -kInf, kNaN},
    {UnaryOp::log, kNaN, kNaN},
    {UnaryOp::log1p, 0, 0},
    {UnaryOp::log1p, -0.0, -0.0},
    {UnaryOp::log1p, -1, -kInf},
    {UnaryOp::log1p, -1.5, kNaN},
    {UnaryOp::log1p, kInf, kInf},
    {UnaryOp::log1p, kNaN, kNaN},
    {UnaryOp::log1p, -kInf, kNaN},
    {UnaryOp::log2, 8, 3},
    {UnaryOp::log2, 1024, 10},
    {UnaryOp::log2, 0x1p-10, -10},
    {UnaryOp::log2, 0, -kInf},
    {UnaryOp::log2, -3, kNaN},
    {UnaryOp::log2, kInf, kInf},
    {UnaryOp::log2, 0x1p-149, -149},
    {UnaryOp::sin, -0.0, -0.0},
    {UnaryOp::sin, 0, 0},
    {UnaryOp::sin, kInf, kNaN},
    {UnaryOp::sin, kNaN, kNaN},
    {UnaryOp::cos, 0, 1},
    {UnaryOp::cos, -kInf, kNaN},
    {UnaryOp::cos, kNaN, kNaN},
    {UnaryOp::tanh, -0.0, -0.0},
    {UnaryOp::tanh, kInf, 1},
    {UnaryOp::tanh, -kInf, -1},
    {UnaryOp::tanh, 50, 1},
    {UnaryOp::tanh, kNaN, kNaN},
    {UnaryOp::erf, -0.0, -0.0},
    {UnaryOp::erf, kInf, 1},
    {UnaryOp::erf, -kInf, -1},
    {UnaryOp::erf, -9, -1},
    {UnaryOp::erf, kNaN, kNaN},
};

TEST_CASE("Special values of functions of one argument", "[math]") {
  for (const SpecialValue& s : kSpecialValues) {
    expect_unary<double, double>(s.op, s.x, s.expected);
    expect_unary<float, float>(s.op, static_cast<float>(s.x), static_cast<float>(s.expected));
  }
  for (UnaryOp op : {UnaryOp::expm1, UnaryOp::log1p, UnaryOp::sin, UnaryOp::tanh}) {
    expect_unary<float, float>(op, 0x1p-149f, 0x1p-149f);
    expect_unary<double, double>(op, -0x1p-1074, -0x1p-1074);
  }
  expect_unary<bool, float>(UnaryOp::is_nan, static_cast<float>(kNaN), true);
  expect_unary<bool, double>(UnaryOp::is_nan, kInf, false);
}

// log2 of every power of two is a whole number: a ceil behind it must not step up.
TEST_CASE("log2 is exact at powers of two", "[math]") {
  for (const auto& backend : backends()) {
    const ScalarFunction f32(*backend, UnaryOp::log2, DType::f32);
    const ScalarFunction f64(*backend, UnaryOp::log2, DType::f64);
    for (int e = -149; e <= 127; ++e) {
      CHECK(f32.run<float, float>({{std::ldexp(1.0f, e)}})[0] == static_cast<float>(e));
    }
    for (int e = -1074; e <= 1023; ++e) {
      CHECK(f64.run<double, double>({{std::ldexp(1.0, e)}})[0] == e);
    }
  }
}

// All pairs of special values against the C library, which follows IEEE 754 there.
template <class T>
void check_special_pairs(BinaryOp op, double (*reference)(double, double)) {
  using Limits = std::numeric_limits<T>;
  const std::vector<T> values = {0,
                                 1,
                                 2,
                                 3,
                                 T(0.5),
                                 T(1.5),
                                 Limits::infinity(),
                                 Limits::max(),
                                 Limits::min(),
                                 Limits::denorm_min(),
                                 T(16777215),
                                 T(16777217),
                                 T(1e20)};
  std::vector<T> a, b;
  auto with_signs = [](T v) { return std::vector<T>{v, -v}; };
  std::vector<T> all = {Limits::quiet_NaN()};
  for (T v : values) {
    for (T w : with_signs(v)) all.push_back(w);
  }
  for (T x : all) {
    for (T y : all) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  for (const auto& backend : backends()) {
    const ScalarFunction function(*backend, op, kDType<T>);
    const std::vector<T> got = function.run<T, T>({a, b});
    for (size_t i = 0; i < a.size(); ++i) {
      const auto expected = static_cast<T>(reference(a[i], b[i]));
      CAPTURE(backend->name(), name_of(op), a[i], b[i], got[i], expected);
      const bool exact = expected == 0 || std::isinf(expected) || std::isnan(expected) ||
                         (op == BinaryOp::pow && expected == 1);
      if (exact) {
        CHECK(same(got[i], expected));
      } else {
        CHECK(std::fabs(got[i] - expected) <=
              2 * Limits::epsilon() * std::fabs(expected) + Limits::denorm_min());
      }
    }
  }
}

TEST_CASE("Special values of pow and atan2", "[math]") {
  check_special_pairs<float>(BinaryOp::pow, std::pow);
  check_special_pairs<double>(BinaryOp::pow, std::pow);
  check_special_pairs<float>(BinaryOp::atan2, std::atan2);
  check_special_pairs<double>(BinaryOp::atan2, std::atan2);
  expect_binary<double, double>(BinaryOp::atan2, 0.0, 0.0, 0.0);
  expect_binary<double, double>(BinaryOp::pow, kNaN, 0.0, 1.0);
  expect_binary<double, double>(BinaryOp::pow, 1.0, kNaN, 1.0);
}

TEST_CASE("Functions of integers and booleans", "[math]") {
  expect_unary<int32_t, int32_t>(UnaryOp::sign, -7, -1);
  expect_unary<int32_t, int32_t>(UnaryOp::sign, 0, 0);
  expect_unary<int32_t, int32_t>(UnaryOp::sign, 9, 1);
  expect_unary<uint8_t, uint8_t>(UnaryOp::sign, 200, 1);
  expect_unary<uint8_t, uint8_t>(UnaryOp::sign, 0, 0);
  expect_unary<uint8_t, uint8_t>(UnaryOp::abs, 200, 200);
  expect_unary<uint8_t, uint8_t>(UnaryOp::neg, 1, 255);
  expect_unary<int32_t, int32_t>(UnaryOp::abs, std::numeric_limits<int32_t>::min(),
                                 std::numeric_limits<int32_t>::min());
  expect_unary<int32_t, int32_t>(UnaryOp::floor, 5, 5);
  expect_unary<int32_t, int32_t>(UnaryOp::bitwise_not, 5, -6);
  expect_unary<bool, int32_t>(UnaryOp::is_nan, 5, false);
  expect_unary<bool, bool>(UnaryOp::logical_not, true, false);
  expect_unary<bool, bool>(UnaryOp::logical_not, false, true);
  expect_binary<int32_t, int32_t>(BinaryOp::div, -7, 2, -4);
  expect_binary<int32_t, int32_t>(BinaryOp::mod, -7, 3, 2);
  expect_binary<int32_t, int32_t>(BinaryOp::div, -7, 0, 0);
  expect_binary<int32_t, int32_t>(BinaryOp::shift_right, -8, 1, -4);
  expect_binary<int32_t, int32_t>(BinaryOp::shift_left, 1, 40, 0);
  expect_binary<int32_t, int32_t>(BinaryOp::bit_xor, 6, 3, 5);
  expect_binary<uint8_t, uint8_t>(BinaryOp::minimum, 200, 3, 3);
  for (bool a : {false, true}) {
    for (bool b : {false, true}) {
      expect_binary<bool, bool>(BinaryOp::maximum, a, b, a || b);
      expect_binary<bool, bool>(BinaryOp::minimum, a, b, a && b);
      expect_binary<bool, bool>(BinaryOp::bit_xor, a, b, a != b);
      expect_binary<bool, bool>(BinaryOp::eq, a, b, a == b);
      expect_binary<bool, bool>(BinaryOp::lt, a, b, a < b);
      expect_binary<bool, bool>(BinaryOp::le, a, b, a <= b);
    }
  }
}

TEST_CASE("Elementary binary functions of floats", "[math]") {
  expect_binary<float, float>(BinaryOp::mod, -7, 3, 2);
  expect_binary<float, float>(BinaryOp::div, 1, 0, std::numeric_limits<float>::infinity());
  expect_binary<double, double>(BinaryOp::maximum, -0.0, 0.0, 0.0);
  expect_binary<double, double>(BinaryOp::minimum, 1.0, kNaN, kNaN);
  expect_binary<bool, double>(BinaryOp::ne, kNaN, kNaN, true);
  expect_binary<bool, double>(BinaryOp::eq, kNaN, kNaN, false);
  expect_binary<bool, double>(BinaryOp::le, 2.0, 2.0, true);
  expect_binary<bool, double>(BinaryOp::lt, 2.0, 2.0, false);
}

template <class T>
std::vector<T> mixed_samples(size_t count, uint64_t seed) {
  using Limits = std::numeric_limits<T>;
  std::mt19937_64 random(seed);
  std::vector<T> x = {0,
                      -T(0),
                      1,
                      -1,
                      Limits::infinity(),
                      -Limits::infinity(),
                      Limits::quiet_NaN(),
                      Limits::max(),
                      Limits::denorm_min(),
                      -Limits::min(),
                      T(0.625),
                      T(0.9375)};
  while (x.size() < count) {
    T value;
    const uint64_t bits = random();
    std::memcpy(&value, &bits, sizeof value);
    if (x.size() % 2 == 0) value = static_cast<T>(static_cast<double>(bits >> 11) * 0x1p-50 - 4);
    x.push_back(value);
  }
  return x;
}

template <class T, class Op>
void check_equal_bits(Op op, const std::vector<std::vector<T>>& inputs) {
  const ScalarFunction interpreted(*backends()[0], op, kDType<T>);
  const ScalarFunction compiled(*backends()[1], op, kDType<T>);
  const std::vector<T> a = interpreted.run<T, T>(inputs);
  const std::vector<T> b = compiled.run<T, T>(inputs);
  size_t different = 0;
  for (size_t i = 0; i < a.size(); ++i) different += !same(a[i], b[i]);
  CAPTURE(name_of(op), dtype_name(kDType<T>));
  CHECK(different == 0);
}

TEST_CASE("The interpreter and LLVM give the same bits", "[math]") {
  const std::vector<float> x = mixed_samples<float>(5003, 11), y = mixed_samples<float>(5003, 12);
  const std::vector<double> u = mixed_samples<double>(2003, 13),
                            v = mixed_samples<double>(2003, 14);
#define PLAIT_UNARY(name)                                                               \
  if (UnaryOp::name != UnaryOp::logical_not && UnaryOp::name != UnaryOp::bitwise_not && \
      UnaryOp::name != UnaryOp::is_nan) {                                               \
    check_equal_bits<float>(UnaryOp::name, {x});                                        \
    check_equal_bits<double>(UnaryOp::name, {u});                                       \
  }
#include "core/graph/scalar_ops.def"
  for (BinaryOp op : {BinaryOp::add, BinaryOp::sub, BinaryOp::mul, BinaryOp::div, BinaryOp::mod,
                      BinaryOp::pow, BinaryOp::maximum, BinaryOp::minimum, BinaryOp::atan2}) {
    check_equal_bits<float>(op, {x, y});
    check_equal_bits<double>(op, {u, v});
  }
}

}  // namespace
}  // namespace plait

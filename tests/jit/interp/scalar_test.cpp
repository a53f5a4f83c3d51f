#include "jit/interp/scalar.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "jit/kernel/types.h"

using namespace plait;
using kernel::Op;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <class T>
Scalar run(Op op, DType type, DType result, std::initializer_list<T> operands) {
  std::vector<RawValue> raw;
  for (T v : operands) raw.push_back(raw_of(Scalar(type, v)));
  const RawValue value = apply(op, type, result, raw);
  return Scalar::load(result, &value);
}

double f32(Op op, std::initializer_list<double> operands) {
  return run(op, DType::f32, DType::f32, operands).as_double();
}
double f64(Op op, std::initializer_list<double> operands) {
  return run(op, DType::f64, DType::f64, operands).as_double();
}
int64_t integer(Op op, DType type, std::initializer_list<int64_t> operands) {
  return run(op, type, type, operands).as_int();
}
bool compare(Op op, DType type, double a, double b) {
  return run(op, type, DType::boolean, {a, b}).as_int() != 0;
}
bool is_minus_zero(double v) { return v == 0 && std::signbit(v); }

}  // namespace

TEST_CASE("f32 rounds in f32 and fma rounds once") {
  CHECK(f32(Op::add, {1, 0x1p-25}) == 1);
  CHECK(f64(Op::add, {1, 0x1p-25}) != 1);
  CHECK(f32(Op::mul, {16777217.0 / 16, 3}) == static_cast<double>(1048576.f * 3.f));
  const double a = 1 + 0x1p-12;
  CHECK(f32(Op::fma, {a, a, -1 - 0x1p-11}) == 0x1p-24);
  CHECK(f32(Op::div, {1, 3}) == static_cast<double>(1.f / 3.f));
  CHECK(f32(Op::sqrt, {2}) == static_cast<double>(std::sqrt(2.f)));
}

TEST_CASE("rounding to integers keeps signs and ties to even") {
  CHECK(f32(Op::round, {0.5}) == 0);
  CHECK(f32(Op::round, {1.5}) == 2);
  CHECK(f32(Op::round, {2.5}) == 2);
  CHECK(is_minus_zero(f32(Op::round, {-0.5})));
  CHECK(is_minus_zero(f32(Op::ceil, {-0.5})));
  CHECK(f32(Op::floor, {-0.5}) == -1);
  CHECK(f32(Op::trunc, {-1.7}) == -1);
  CHECK(is_minus_zero(f32(Op::neg, {0})));
  CHECK_FALSE(is_minus_zero(f32(Op::abs, {-0.0})));
}

TEST_CASE("maximum and minimum: NaN wins, +0 above -0") {
  for (const Op op : {Op::maximum, Op::minimum}) {
    CHECK(std::isnan(f32(op, {kNan, 1})));
    CHECK(std::isnan(f64(op, {1, kNan})));
  }
  CHECK_FALSE(is_minus_zero(f32(Op::maximum, {-0.0, 0.0})));
  CHECK_FALSE(is_minus_zero(f32(Op::maximum, {0.0, -0.0})));
  CHECK(is_minus_zero(f32(Op::minimum, {-0.0, 0.0})));
  CHECK(is_minus_zero(f64(Op::minimum, {0.0, -0.0})));
  CHECK(f32(Op::maximum, {-kInf, 3}) == 3);
  CHECK(integer(Op::minimum, DType::i8, {-3, 2}) == -3);
  CHECK(integer(Op::maximum, DType::u8, {253, 2}) == 253);
}

TEST_CASE("modulo has the sign of the divisor") {
  CHECK(f32(Op::mod, {-1, 3}) == 2);
  CHECK(f32(Op::mod, {1, -3}) == -2);
  CHECK(is_minus_zero(f32(Op::mod, {6, -3})));
  CHECK_FALSE(is_minus_zero(f32(Op::mod, {-6, 3})));
  CHECK(std::isnan(f32(Op::mod, {1, 0})));
  CHECK(f32(Op::mod, {-1, kInf}) == kInf);
  CHECK(integer(Op::mod, DType::i32, {-7, 3}) == 2);
  CHECK(integer(Op::mod, DType::i32, {7, -3}) == -2);
  CHECK(integer(Op::mod, DType::i32, {7, 0}) == 0);
  CHECK(integer(Op::mod, DType::u8, {250, 7}) == 5);
}

TEST_CASE("integer division floors, and never traps") {
  CHECK(integer(Op::div, DType::i32, {-7, 2}) == -4);
  CHECK(integer(Op::div, DType::i32, {7, -2}) == -4);
  CHECK(integer(Op::div, DType::i32, {-8, 2}) == -4);
  CHECK(integer(Op::div, DType::u8, {255, 2}) == 127);
  for (const DType type : {DType::i8, DType::i16, DType::i32, DType::i64}) {
    const int64_t lowest = std::numeric_limits<int64_t>::min() >> (64 - 8 * dtype_size(type));
    CHECK(integer(Op::div, type, {lowest, -1}) == lowest);
    CHECK(integer(Op::mod, type, {lowest, -1}) == 0);
    CHECK(integer(Op::div, type, {5, 0}) == 0);
    CHECK(integer(Op::abs, type, {lowest}) == lowest);
    CHECK(integer(Op::neg, type, {lowest}) == lowest);
  }
}

TEST_CASE("integers wrap") {
  CHECK(integer(Op::add, DType::i8, {127, 1}) == -128);
  CHECK(integer(Op::sub, DType::u8, {0, 1}) == 255);
  CHECK(integer(Op::mul, DType::i32, {65536, 65536}) == 0);
  CHECK(integer(Op::mul, DType::u32, {0xffffffff, 2}) == 0xfffffffe);
  CHECK(integer(Op::mul, DType::i16, {-32768, -1}) == -32768);
  CHECK(integer(Op::mul_high, DType::u32, {0xffffffff, 0xffffffff}) == 0xfffffffe);
}

TEST_CASE("shifts outside the width give 0 or the sign") {
  CHECK(integer(Op::shift_left, DType::i32, {1, 31}) == std::numeric_limits<int32_t>::min());
  CHECK(integer(Op::shift_left, DType::i32, {1, 32}) == 0);
  CHECK(integer(Op::shift_left, DType::i32, {1, -1}) == 0);
  CHECK(integer(Op::shift_left, DType::u8, {255, 1}) == 254);
  CHECK(integer(Op::shift_right, DType::i32, {-8, 1}) == -4);
  CHECK(integer(Op::shift_right, DType::i32, {-8, 40}) == -1);
  CHECK(integer(Op::shift_right, DType::i32, {8, 40}) == 0);
  CHECK(integer(Op::shift_right, DType::u32, {0x80000000, 31}) == 1);
  CHECK(integer(Op::shift_right, DType::u64, {-1, 64}) == 0);
}

TEST_CASE("bits of integers and booleans") {
  CHECK(integer(Op::bit_not, DType::i8, {0}) == -1);
  CHECK(integer(Op::bit_not, DType::u8, {1}) == 254);
  CHECK(integer(Op::bit_not, DType::boolean, {1}) == 0);
  CHECK(integer(Op::bit_not, DType::boolean, {0}) == 1);
  CHECK(integer(Op::bit_xor, DType::i16, {-1, 0x0f0f}) == static_cast<int16_t>(0xf0f0));
  CHECK(integer(Op::bit_and, DType::boolean, {1, 1}) == 1);
  CHECK(integer(Op::bit_or, DType::boolean, {0, 0}) == 0);
  CHECK(integer(Op::bit_xor, DType::boolean, {1, 1}) == 0);
}

TEST_CASE("comparisons are ordered, except ne") {
  for (const DType type : {DType::f32, DType::f64}) {
    CHECK(compare(Op::ne, type, kNan, kNan));
    CHECK_FALSE(compare(Op::eq, type, kNan, kNan));
    CHECK_FALSE(compare(Op::lt, type, kNan, 1));
    CHECK_FALSE(compare(Op::le, type, 1, kNan));
    CHECK(compare(Op::eq, type, 0.0, -0.0));
    CHECK(compare(Op::le, type, 1, 1));
  }
  CHECK(run<int64_t>(Op::lt, DType::u32, DType::boolean, {1, 0xffffffff}).as_int() == 1);
  CHECK(run<int64_t>(Op::lt, DType::i32, DType::boolean, {1, -1}).as_int() == 0);
}

TEST_CASE("casts agree with Scalar on every pair of dtypes") {
  const double values[] = {0,      -0.0,   0.5,     -0.5,     1.5,   -1.5,          127.5,  128,
                           -129,   255,    256,     65504,    65520, -70000,        0x1p31, -0x1p31,
                           0x1p32, 0x1p63, -0x1p63, 0x1p64,   1e30,  -1e30,         kInf,   -kInf,
                           kNan,   1e-8,   1.0039,  33554433, 257.5, 16777217 * 8.0};
  const int64_t integers[] = {(int64_t{1} << 62) + 1, -(int64_t{1} << 55) - 1, 0x80'8000'0001,
                              -0x80'8000'0001,        0x101'0000'0000'0001,    -1};
  size_t checked = 0;
  for (const DType from : kAllDTypes) {
    std::vector<Scalar> inputs;
    for (const double v : values) inputs.emplace_back(from, v);
    for (const int64_t v : integers) inputs.emplace_back(from, v);
    for (const DType to : kAllDTypes) {
      for (const Scalar& input : inputs) {
        const RawValue raw = raw_of(input);
        const RawValue cast = apply(Op::cast, from, to, {&raw, 1});
        INFO(dtype_name(from) << " " << input.to_string() << " to " << dtype_name(to));
        CHECK(Scalar::load(to, &cast) == input.cast(to));
        ++checked;
      }
    }
  }
  CHECK(checked == 12 * 12 * (std::size(values) + std::size(integers)));
}

TEST_CASE("bitcast keeps bits") {
  const RawValue one = raw_of(Scalar(DType::f32, 1.0));
  CHECK(apply(Op::bitcast, DType::f32, DType::u32, {&one, 1}) == 0x3f800000);
  const RawValue half = raw_of(Scalar(DType::bf16, 1.0));
  CHECK(apply(Op::bitcast, DType::bf16, DType::i16, {&half, 1}) == 0x3f80);
}

TEST_CASE("select takes halves and booleans as they are") {
  const RawValue operands[] = {1, 0x1234, 0x4321};
  CHECK(apply(Op::select, DType::f16, DType::f16, operands) == 0x1234);
  const RawValue others[] = {0, 1, 0};
  CHECK(apply(Op::select, DType::boolean, DType::boolean, others) == 0);
}

#include "core/dtype.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <sstream>

#include "core/error.h"

using namespace plait;
using Catch::Matchers::Contains;

namespace {

const double kInf = std::numeric_limits<double>::infinity();
const double kNan = std::numeric_limits<double>::quiet_NaN();

struct Half {
  DType dtype;
  float (*to_f32)(uint16_t);
  uint16_t (*from_f32)(float);
  uint16_t (*from_f64)(double);
  uint16_t infinity;
};
const Half kHalves[] = {{DType::f16, f16_to_f32, f32_to_f16, f64_to_f16, 0x7c00},
                        {DType::bf16, bf16_to_f32, f32_to_bf16, f64_to_bf16, 0x7f80}};

}  // namespace

TEST_CASE("dtype traits", "[dtype]") {
  const size_t sizes[] = {1, 1, 1, 2, 4, 8, 4, 8, 2, 2, 4, 8};
  for (DType t : kAllDTypes) {
    CHECK(parse_dtype(dtype_name(t)) == t);
    CHECK(dtype_size(t) == sizes[static_cast<int>(t)]);
    const std::string name = dtype_name(t);
    CHECK(is_float(t) == (name.find('f') != name.npos));
    CHECK(is_integer(t) == (name[0] == 'i' || name[0] == 'u'));
    CHECK(is_signed(t) == (name != "bool" && name[0] != 'u'));
    CHECK(compute_type(t) == (name.find("f16") != name.npos ? DType::f32 : t));
  }
  CHECK_FALSE(parse_dtype("float"));
  CHECK_FALSE(parse_dtype(""));
}

TEST_CASE("promotion follows the lattice", "[dtype]") {
  // In the order of kAllDTypes; u32 and u64 with signed integers give i64.
  const char* table[] = {
      "bool i8  u8  i16 i32 i64 u32 u64 f16 bf16 f32 f64",
      "i8   i8  i16 i16 i32 i64 i64 i64 f16 bf16 f32 f64",
      "u8   i16 u8  i16 i32 i64 u32 u64 f16 bf16 f32 f64",
      "i16  i16 i16 i16 i32 i64 i64 i64 f16 bf16 f32 f64",
      "i32  i32 i32 i32 i32 i64 i64 i64 f16 bf16 f32 f64",
      "i64  i64 i64 i64 i64 i64 i64 i64 f16 bf16 f32 f64",
      "u32  i64 u32 i64 i64 i64 u32 u64 f16 bf16 f32 f64",
      "u64  i64 u64 i64 i64 i64 u64 u64 f16 bf16 f32 f64",
      "f16  f16 f16 f16 f16 f16 f16 f16 f16 f32  f32 f64",
      "bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16 f32 bf16 f32 f64",
      "f32  f32 f32 f32 f32 f32 f32 f32 f32 f32  f32 f64",
      "f64  f64 f64 f64 f64 f64 f64 f64 f64 f64  f64 f64",
  };
  for (DType a : kAllDTypes) {
    std::istringstream row(table[static_cast<int>(a)]);
    for (DType b : kAllDTypes) {
      std::string expected;
      row >> expected;
      CAPTURE(dtype_name(a), dtype_name(b));
      CHECK(dtype_name(promote(a, b)) == expected);
    }
  }
}

TEST_CASE("a scalar takes the tensor's type unless it is of a higher category", "[dtype]") {
  CHECK(promote_scalar(DType::f16, DType::f64) == DType::f16);
  CHECK(promote_scalar(DType::bf16, DType::i64) == DType::bf16);
  CHECK(promote_scalar(DType::u8, DType::i64) == DType::u8);
  CHECK(promote_scalar(DType::i32, DType::f64) == DType::f32);
  CHECK(promote_scalar(DType::boolean, DType::f64) == DType::f32);
  CHECK(promote_scalar(DType::boolean, DType::i64) == DType::i64);
  CHECK(promote_scalar(DType::boolean, DType::boolean) == DType::boolean);
  CHECK(promote_scalar(DType::i8, DType::boolean) == DType::i8);
}

TEST_CASE("every half survives, and what lies between rounds to nearest, ties to even", "[dtype]") {
  for (const Half& h : kHalves) {
    CAPTURE(dtype_name(h.dtype));
    int wrong = 0;
    for (uint32_t bits = 0; bits < h.infinity; ++bits) {
      for (uint16_t sign : {0, 0x8000}) {
        const uint16_t low = static_cast<uint16_t>(bits | sign);
        const double value = h.to_f32(low);
        wrong += std::signbit(value) != (sign != 0);
        wrong += h.from_f32(h.to_f32(low)) != low || h.from_f64(value) != low;
        // The next one away from zero; beyond the largest finite value that is infinity, which
        // rounds as if it were the next power of two.
        const uint16_t high = static_cast<uint16_t>(low + 1);
        const double step =
            std::fabs(value - h.to_f32(static_cast<uint16_t>(bits ? low - 1 : high)));
        const double next = bits + 1 == h.infinity ? value + std::copysign(step, value)
                                                   : static_cast<double>(h.to_f32(high));
        const double middle = value + (next - value) / 2;
        wrong += h.from_f64(middle) != (low % 2 == 0 ? low : high);
        wrong += h.from_f64(std::nextafter(middle, value)) != low;
        wrong += h.from_f64(std::nextafter(middle, next)) != high;
        const float narrow = static_cast<float>(middle);
        wrong += narrow == middle && h.from_f32(narrow) != (low % 2 == 0 ? low : high);
        wrong += narrow == middle && h.from_f32(std::nextafterf(narrow, 0)) != low;
      }
    }
    CHECK(wrong == 0);
    CHECK(h.from_f64(kInf) == h.infinity);
    CHECK(h.from_f64(-kInf) == (h.infinity | 0x8000));
    CHECK(h.from_f64(1e300) == h.infinity);
    CHECK(h.from_f64(1e-300) == 0);
    CHECK(h.from_f64(-5e-324) == 0x8000);
    CHECK(std::isinf(h.to_f32(h.infinity)));
  }
}

TEST_CASE("NaN stays NaN in every half (A23)", "[dtype]") {
  for (const Half& h : kHalves) {
    for (uint32_t bits : {0x7f800001u, 0x7fff8c22u, 0xff800001u, 0x7fffffffu, 0xffffffffu}) {
      const float nan = std::bit_cast<float>(bits);
      CHECK(std::isnan(h.to_f32(h.from_f32(nan))));
      CHECK(h.from_f32(nan) >> 15 == bits >> 31);
    }
    CHECK(std::isnan(h.to_f32(h.from_f64(std::bit_cast<double>(0x7ff0000000000001ull)))));
    for (uint32_t bits = h.infinity + 1u; bits < 0x8000; ++bits)
      if (!std::isnan(h.to_f32(static_cast<uint16_t>(bits)))) FAIL("no NaN: " << bits);
  }
  CHECK(bf16_to_f32(f32_to_bf16(0.2691408770f)) == 0.26953125f);
  CHECK(bf16_to_f32(f32_to_bf16(257.0f)) == 256.0f);
  CHECK(std::isinf(bf16_to_f32(f32_to_bf16(3.4e38f))));
  CHECK(f32_to_bf16(-0.0f) == 0x8000);
}

TEST_CASE("f64 to a half rounds once", "[dtype]") {
  // Just above a tie, by less than f32 can tell: through f32 it would fall to even.
  CHECK(f64_to_bf16(1 + 0x1p-8 + 0x1p-40) == 0x3f81);
  CHECK(f32_to_bf16(static_cast<float>(1 + 0x1p-8 + 0x1p-40)) == 0x3f80);
  CHECK(f64_to_f16(1 + 0x1p-11 + 0x1p-40) == 0x3c01);
  CHECK(f64_to_f16(1 + 0x1p-11) == 0x3c00);
  // Integers beyond 53 bits too.
  const int64_t above = (int64_t{1} << 60) + (int64_t{1} << 52) + 1;
  CHECK(Scalar(DType::bf16, above).as_double() == 0x1p60 + 0x1p53);
  CHECK(Scalar(DType::bf16, -above).as_double() == -0x1p60 - 0x1p53);
  CHECK(Scalar(DType::bf16, above - 1).as_double() == 0x1p60);
  CHECK(Scalar(DType::u64, -1).cast(DType::bf16).as_double() == 0x1p64);
  const int64_t f32_above = (int64_t{1} << 60) + (int64_t{1} << 36) + 1;
  CHECK(Scalar(DType::f32, f32_above).as_double() == 0x1p60 + 0x1p37);
}

TEST_CASE("scalars hold values of their dtype", "[dtype]") {
  CHECK(Scalar().dtype() == DType::f32);
  CHECK(Scalar(DType::f32, 0.1).as_double() == static_cast<double>(0.1f));
  CHECK(Scalar(DType::f16, 1e6).as_double() == kInf);
  CHECK(Scalar(DType::i8, 200).as_int() == -56);  // integers wrap
  CHECK(Scalar(DType::u8, -1).as_int() == 255);
  CHECK(Scalar(DType::u32, -1).as_int() == 4294967295);
  CHECK(Scalar(DType::boolean, 256).as_int() == 1);
  CHECK(Scalar(DType::i8, 300.7).as_int() == 127);  // floats truncate and saturate
  CHECK(Scalar(DType::i8, -2.9).as_int() == -2);
  CHECK(Scalar(DType::u8, -3.0).as_int() == 0);
  CHECK(Scalar(DType::i32, kNan).as_int() == 0);
  CHECK(Scalar(DType::i64, 1e30).as_int() == std::numeric_limits<int64_t>::max());
  CHECK(Scalar(DType::i64, -kInf).as_int() == std::numeric_limits<int64_t>::min());
  CHECK(Scalar(DType::u64, 0x1p63).bits() == 1ull << 63);
  CHECK(Scalar(DType::u64, kInf).bits() == ~0ull);
  CHECK(Scalar(DType::boolean, 0.5).as_int() == 1);
  CHECK(Scalar(DType::boolean, kNan).as_int() == 1);
  CHECK(Scalar(DType::boolean, -0.0).as_int() == 0);
  CHECK(Scalar(DType::u64, -1).as_int() == std::numeric_limits<int64_t>::max());
  CHECK(Scalar(DType::u64, -1).as_double() == 0x1p64);
  CHECK(Scalar(DType::f64, 2.9).as_int() == 2);
  CHECK(Scalar(DType::f64, kNan).as_int() == 0);
  CHECK(Scalar(DType::u64, -1).cast(DType::i64).as_int() == -1);
  CHECK(Scalar(DType::u64, -1).cast(DType::f32).as_double() == 0x1p64);
  CHECK(Scalar(DType::f32, -1.5).cast(DType::u8).as_int() == 0);
  CHECK(Scalar(DType::i64, 257).cast(DType::bf16).cast(DType::i64).as_int() == 256);
}

TEST_CASE("scalars are equal by dtype and bits", "[dtype]") {
  CHECK(Scalar(DType::f32, 1.0) == Scalar(DType::f32, 1));
  CHECK_FALSE(Scalar(DType::f32, 1) == Scalar(DType::f64, 1));
  CHECK_FALSE(Scalar(DType::f32, 0.0) == Scalar(DType::f32, -0.0));
  CHECK(Scalar(DType::f32, kNan) == Scalar(DType::f32, -kNan));
  CHECK(Scalar(DType::f16, kNan) ==
        Scalar(DType::f16, std::bit_cast<double>(0x7ff0000000000001ull)));
}

TEST_CASE("scalars print the shortest text that parses back", "[dtype]") {
  const auto text = [](DType t, double x) { return Scalar(t, x).to_string(); };
  CHECK(text(DType::f32, 1.5) == "1.5");
  CHECK(text(DType::f32, 0.1) == "0.1");
  CHECK(text(DType::f64, 0.1f) == "0.10000000149011612");
  CHECK(text(DType::f32, 1) == "1");
  CHECK(text(DType::f32, -kInf) == "-inf");
  CHECK(text(DType::f16, kNan) == "nan");
  CHECK(text(DType::f64, -0.0) == "-0");
  CHECK(text(DType::f16, 65504) == "65504");
  CHECK(text(DType::f16, 0.1) == "0.1");
  CHECK(text(DType::bf16, 0.26953125) == "0.27");
  CHECK(Scalar(DType::boolean, 1).to_string() == "true");
  CHECK(Scalar(DType::u64, -1).to_string() == "18446744073709551615");
  CHECK(Scalar(DType::i64, std::numeric_limits<int64_t>::min()).to_string() ==
        "-9223372036854775808");
  std::mt19937_64 random(1);
  for (DType t : kAllDTypes) {
    for (int i = 0; i < 3000; ++i) {
      uint64_t bits = random();
      if (i % 3 == 0) bits &= random() & random();  // small, and subnormal
      if (t == DType::boolean) bits &= 1;
      const Scalar s = Scalar::load(t, &bits);
      if (!(Scalar::parse(t, s.to_string()) == s)) FAIL(dtype_name(t) << " " << s.to_string());
      uint64_t stored = 0;
      s.store(&stored);
      const bool nan = is_float(t) && std::isnan(s.as_double());
      if (!nan && std::memcmp(&stored, &bits, dtype_size(t)) != 0) FAIL(s.to_string());
    }
  }
}

TEST_CASE("scalars parse strictly and round once", "[dtype]") {
  CHECK(Scalar::parse(DType::f32, "1e400").as_double() == kInf);
  CHECK(Scalar::parse(DType::f32, "1e-400") == Scalar(DType::f32, 0.0));
  CHECK(Scalar::parse(DType::f32, "1e39").as_double() == kInf);
  CHECK(Scalar::parse(DType::f64, "-1e-400") == Scalar(DType::f64, -0.0));
  CHECK(Scalar::parse(DType::f64, "inf").as_double() == kInf);
  // Above the tie 1 + 2^-11 by less than a double can tell, and the tie itself.
  CHECK(Scalar::parse(DType::f16, "1.00048828125000000000000000000001").as_double() == 1 + 0x1p-10);
  CHECK(Scalar::parse(DType::f16, "1.00048828125").as_double() == 1);
  CHECK(Scalar::parse(DType::f32, "1.000000059604644775390625000000001").as_double() ==
        1 + 0x1p-23);
  for (DType t : {DType::f16, DType::bf16, DType::f32, DType::f64})
    for (const char* bad : {"", " 1", "1 ", "+1", "1.5x", "0x10", "one", "1,5", "--1"})
      CHECK_THROWS_WITH(Scalar::parse(t, bad), Contains("not a value of") && Contains(bad));
  for (const char* bad : {"", "1.0", " 1", "+1", "1e3", "128", "-129", "99999999999999999999"})
    CHECK_THROWS_AS(Scalar::parse(DType::i8, bad), UserError);
  CHECK(Scalar::parse(DType::i8, "-128").as_int() == -128);
  CHECK_THROWS_WITH(Scalar::parse(DType::u8, "256"), "[parse_scalar] not a value of u8: \"256\"");
  CHECK_THROWS_AS(Scalar::parse(DType::u8, "-1"), UserError);
  CHECK_THROWS_AS(Scalar::parse(DType::u64, "18446744073709551616"), UserError);
  CHECK_THROWS_AS(Scalar::parse(DType::boolean, "1"), UserError);
}

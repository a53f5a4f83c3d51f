#include "core/dtype.h"

#include <fmt/format.h>
#include <locale.h>

#include <algorithm>
#include <bit>
#include <cfenv>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/error.h"

namespace plait {

static_assert(std::endian::native == std::endian::little);

namespace {

enum class Category : uint8_t { boolean, integer, floating };

struct Traits {
  const char* name;
  uint8_t size;
  Category category;
  bool is_signed;
};

const Traits& traits(DType dtype) {
  static constexpr Traits kTraits[] = {
      {"bool", 1, Category::boolean, false}, {"i8", 1, Category::integer, true},
      {"u8", 1, Category::integer, false},   {"i16", 2, Category::integer, true},
      {"i32", 4, Category::integer, true},   {"i64", 8, Category::integer, true},
      {"u32", 4, Category::integer, false},  {"u64", 8, Category::integer, false},
      {"f16", 2, Category::floating, true},  {"bf16", 2, Category::floating, true},
      {"f32", 4, Category::floating, true},  {"f64", 8, Category::floating, true},
  };
  static_assert(std::size(kTraits) == std::size(kAllDTypes));
  return kTraits[static_cast<size_t>(dtype)];
}

// A 16-bit float format: 1 sign bit, then the exponent, then the mantissa.
struct HalfFormat {
  int mantissa_bits;
  int bias;
  uint16_t infinity;
};
constexpr HalfFormat kF16{10, 15, 0x7c00};
constexpr HalfFormat kBf16{7, 127, 0x7f80};

uint16_t encode_half(double value, HalfFormat format) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 48 & 0x8000);
  uint64_t mantissa = bits & ((1ull << 52) - 1);
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff);
  if (exponent == 0x7ff) {
    const uint16_t quiet = static_cast<uint16_t>(1 << (format.mantissa_bits - 1));
    const uint16_t payload = static_cast<uint16_t>(mantissa >> (52 - format.mantissa_bits));
    return static_cast<uint16_t>(sign | format.infinity | (mantissa ? payload | quiet : 0));
  }
  if (exponent == 0) return sign;  // double's subnormals are below half of any half
  mantissa |= 1ull << 52;
  // The result's exponent field; below 1 the mantissa shifts further, into the subnormals.
  int field = exponent - 1023 + format.bias;
  int shift = 52 - format.mantissa_bits;
  if (field < 1) {
    shift += 1 - field;
    field = 1;
  }
  if (shift > 54) return sign;
  uint64_t rounded = mantissa >> shift;
  const uint64_t rest = mantissa & ((1ull << shift) - 1), tie = 1ull << (shift - 1);
  if (rest > tie || (rest == tie && (rounded & 1))) ++rounded;
  // The hidden bit, if there, adds 1 to the field; a carry out of the mantissa adds one more.
  const uint64_t magnitude = (static_cast<uint64_t>(field - 1) << format.mantissa_bits) + rounded;
  if (field > 0x7ff || magnitude >= format.infinity)
    return static_cast<uint16_t>(sign | format.infinity);
  return static_cast<uint16_t>(sign | magnitude);
}

// Rounds and wraps `value` to an integer type's values, as 64 bits.
uint64_t wrap(DType dtype, uint64_t value) {
  switch (dtype) {
    case DType::boolean:
      return value != 0;
    case DType::i8:
      return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int8_t>(value)));
    case DType::u8:
      return static_cast<uint8_t>(value);
    case DType::i16:
      return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int16_t>(value)));
    case DType::i32:
      return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value)));
    case DType::u32:
      return static_cast<uint32_t>(value);
    case DType::i64:
    case DType::u64:
      return value;
    case DType::f16:
    case DType::bf16:
    case DType::f32:
    case DType::f64:
      break;
  }
  PLAIT_UNREACHABLE("{} is no integer type", dtype_name(dtype));
}

double round_to(DType dtype, double value) {
  switch (dtype) {
    case DType::f16:
      return f16_to_f32(f64_to_f16(value));
    case DType::bf16:
      return bf16_to_f32(f64_to_bf16(value));
    case DType::f32:
      return static_cast<float>(value);
    case DType::f64:
      return value;
    case DType::boolean:
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
    case DType::u32:
    case DType::u64:
      break;
  }
  PLAIT_UNREACHABLE("{} is no float type", dtype_name(dtype));
}

// One NaN, so that equal means equal bits.
uint64_t float_bits(double value) {
  return std::bit_cast<uint64_t>(std::isnan(value) ? std::numeric_limits<double>::quiet_NaN()
                                                   : value);
}

int64_t lowest(DType dtype) {
  if (!is_signed(dtype)) return 0;
  return std::numeric_limits<int64_t>::min() >> (64 - 8 * dtype_size(dtype));
}

uint64_t highest(DType dtype) {
  const size_t bits = 8 * dtype_size(dtype) - (is_signed(dtype) ? 1 : 0);
  return std::numeric_limits<uint64_t>::max() >> (64 - bits);
}

// Truncates and saturates to the values of an integer type; NaN is 0.
uint64_t saturate(DType dtype, double value) {
  if (std::isnan(value)) return 0;
  const int64_t lo = lowest(dtype);
  const uint64_t hi = highest(dtype);
  if (value <= static_cast<double>(lo)) return static_cast<uint64_t>(lo);
  if (value >= static_cast<double>(hi)) return hi;  // the conversion rounds up to a power of two
  return value < 0 ? static_cast<uint64_t>(static_cast<int64_t>(value))
                   : static_cast<uint64_t>(value);
}

// The double nearest to an integer of that sign, or for the half types one that rounds on as the
// integer itself would: what lies beyond 53 bits sets the last bit kept (round to odd).
double integer_to_double(DType dtype, uint64_t magnitude, bool negative) {
  if (compute_type(dtype) != dtype && magnitude >> 53 != 0) {
    const uint64_t beyond = magnitude & 0x7ff;
    magnitude = (magnitude ^ beyond) | (beyond != 0 ? 0x800 : 0);
  }
  const double value = dtype == DType::f32 ? static_cast<double>(static_cast<float>(magnitude))
                                           : static_cast<double>(magnitude);
  return negative ? -value : value;
}

}  // namespace

const char* dtype_name(DType dtype) { return traits(dtype).name; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (DType dtype : kAllDTypes)
    if (name == dtype_name(dtype)) return dtype;
  return std::nullopt;
}

size_t dtype_size(DType dtype) { return traits(dtype).size; }
bool is_float(DType dtype) { return traits(dtype).category == Category::floating; }
bool is_integer(DType dtype) { return traits(dtype).category == Category::integer; }
bool is_signed(DType dtype) { return traits(dtype).is_signed; }

DType compute_type(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 ? DType::f32 : dtype;
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  const Traits &x = traits(a), &y = traits(b);
  if (x.category != y.category) return x.category > y.category ? a : b;
  if (x.category == Category::floating)
    return x.size == y.size ? DType::f32 : x.size > y.size ? a : b;
  if (x.is_signed == y.is_signed) return x.size > y.size ? a : b;
  const Traits &with_sign = x.is_signed ? x : y, &without = x.is_signed ? y : x;
  if (without.size >= 4) return DType::i64;
  if (with_sign.size > without.size) return x.is_signed ? a : b;
  return DType::i16;  // i8 with u8
}

DType promote_scalar(DType tensor, DType scalar) {
  if (traits(scalar).category <= traits(tensor).category) return tensor;
  return is_float(scalar) ? DType::f32 : scalar;
}

float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = bits >> 10 & 0x1f, mantissa = bits & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t f32_to_f16(float value) { return encode_half(value, kF16); }
uint16_t f64_to_bf16(double value) { return encode_half(value, kBf16); }
uint16_t f64_to_f16(double value) { return encode_half(value, kF16); }

Scalar::Scalar(DType dtype, double value) : dtype_(dtype), bits_(0) {
  if (is_float(dtype)) {
    bits_ = float_bits(round_to(dtype, value));
  } else {
    bits_ = dtype == DType::boolean ? value != 0 : saturate(dtype, value);
  }
}

Scalar::Scalar(DType dtype, int64_t value) : dtype_(dtype), bits_(0) {
  const uint64_t bits = static_cast<uint64_t>(value);
  if (is_float(dtype)) {
    const uint64_t magnitude = value < 0 ? ~bits + 1 : bits;
    bits_ = float_bits(round_to(dtype, integer_to_double(dtype, magnitude, value < 0)));
  } else {
    bits_ = wrap(dtype, bits);
  }
}

double Scalar::as_double() const {
  if (is_float(dtype_)) return std::bit_cast<double>(bits_);
  if (dtype_ == DType::u64) return static_cast<double>(bits_);
  return static_cast<double>(static_cast<int64_t>(bits_));
}

int64_t Scalar::as_int() const {
  if (is_float(dtype_)) return static_cast<int64_t>(saturate(DType::i64, as_double()));
  if (dtype_ == DType::u64) return static_cast<int64_t>(std::min(bits_, highest(DType::i64)));
  return static_cast<int64_t>(bits_);
}

Scalar Scalar::cast(DType dtype) const {
  if (is_float(dtype_)) return Scalar(dtype, as_double());
  if (dtype_ == DType::u64 && is_float(dtype)) {
    Scalar result(dtype, 0.0);
    result.bits_ = float_bits(round_to(dtype, integer_to_double(dtype, bits_, false)));
    return result;
  }
  return Scalar(dtype, static_cast<int64_t>(bits_));
}

namespace {

// The shortest decimal that reads back as the same half.
std::string half_text(DType dtype, double value) {
  const std::string full = fmt::format("{}", static_cast<float>(value));
  for (int digits = 1;; ++digits) {
    const std::string text = fmt::format("{:.{}g}", value, digits);
    if (Scalar::parse(dtype, text).as_double() != value) continue;
    return text.size() < full.size() ? text : full;
  }
}

// strtod rounds in the current direction, exactly.
double read_decimal(const std::string& text, int rounding) {
  static const locale_t c_locale = newlocale(LC_ALL_MASK, "C", nullptr);
  const int before = std::fegetround();
  std::fesetround(rounding);
  const double value = strtod_l(text.c_str(), nullptr, c_locale);
  std::fesetround(before);
  return value;
}

// A double that rounds on to the half types as the decimal itself would (round to odd).
double decimal_to_odd(const std::string& text) {
  const double down = read_decimal(text, FE_DOWNWARD), up = read_decimal(text, FE_UPWARD);
  return std::bit_cast<uint64_t>(down) & 1 ? down : up;
}

std::optional<double> parse_float(DType dtype, std::string_view text) {
  if (text.empty() || text.front() == '+') return std::nullopt;
  const char *begin = text.data(), *end = begin + text.size();
  double value = 0;
  auto result = std::from_chars(begin, end, value);
  if (dtype == DType::f32) {
    float narrow = 0;
    result = std::from_chars(begin, end, narrow);
    value = narrow;
  }
  if (result.ptr != end) return std::nullopt;
  // Out of range: too large or too small, where strtod gives infinity or the nearest.
  if (result.ec == std::errc::result_out_of_range) {
    value = read_decimal(std::string(text), FE_TONEAREST);
  } else if (result.ec != std::errc()) {
    return std::nullopt;
  }
  if (compute_type(dtype) != dtype && std::isfinite(value))
    value = decimal_to_odd(std::string(text));
  return value;
}

}  // namespace

std::string Scalar::to_string() const {
  switch (dtype_) {
    case DType::boolean:
      return bits_ ? "true" : "false";
    case DType::i8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
      return fmt::format("{}", static_cast<int64_t>(bits_));
    case DType::u8:
    case DType::u32:
    case DType::u64:
      return fmt::format("{}", bits_);
    case DType::f16:
    case DType::bf16:
      if (!std::isfinite(as_double())) return fmt::format("{}", as_double());
      return half_text(dtype_, as_double());
    case DType::f32:
      return fmt::format("{}", static_cast<float>(as_double()));
    case DType::f64:
      return fmt::format("{}", as_double());
  }
  PLAIT_UNREACHABLE("dtype {}", static_cast<int>(dtype_));
}

Scalar Scalar::parse(DType dtype, std::string_view text) {
  const auto fail = [&] {
    PLAIT_CHECK(false, "parse_scalar", "not a value of {}: \"{}\"", dtype_name(dtype), text);
  };
  const char *begin = text.data(), *end = begin + text.size();
  if (is_float(dtype)) {
    const auto value = parse_float(dtype, text);
    if (!value) fail();
    return Scalar(dtype, *value);
  }
  if (dtype == DType::boolean) {
    if (text != "true" && text != "false") fail();
    return Scalar(dtype, text == "true" ? 1 : 0);
  }
  int64_t value = 0;
  if (dtype == DType::u64) {
    uint64_t wide = 0;
    const auto result = std::from_chars(begin, end, wide);
    if (result.ec != std::errc() || result.ptr != end) fail();
    value = static_cast<int64_t>(wide);
  } else {
    const auto result = std::from_chars(begin, end, value);
    if (result.ec != std::errc() || result.ptr != end) fail();
    if (wrap(dtype, static_cast<uint64_t>(value)) != static_cast<uint64_t>(value)) fail();
  }
  return Scalar(dtype, value);
}

Scalar Scalar::load(DType dtype, const void* element) {
  const auto read = [element](auto value) {
    std::memcpy(&value, element, sizeof value);
    return value;
  };
  switch (dtype) {
    case DType::boolean:
    case DType::u8:
      return Scalar(dtype, static_cast<int64_t>(read(uint8_t{})));
    case DType::i8:
      return Scalar(dtype, static_cast<int64_t>(read(int8_t{})));
    case DType::i16:
      return Scalar(dtype, static_cast<int64_t>(read(int16_t{})));
    case DType::i32:
      return Scalar(dtype, static_cast<int64_t>(read(int32_t{})));
    case DType::i64:
    case DType::u64:
      return Scalar(dtype, read(int64_t{}));
    case DType::u32:
      return Scalar(dtype, static_cast<int64_t>(read(uint32_t{})));
    case DType::f16:
      return Scalar(dtype, static_cast<double>(f16_to_f32(read(uint16_t{}))));
    case DType::bf16:
      return Scalar(dtype, static_cast<double>(bf16_to_f32(read(uint16_t{}))));
    case DType::f32:
      return Scalar(dtype, static_cast<double>(read(float{})));
    case DType::f64:
      return Scalar(dtype, read(double{}));
  }
  PLAIT_UNREACHABLE("dtype {}", static_cast<int>(dtype));
}

void Scalar::store(void* element) const {
  switch (dtype_) {
    case DType::boolean:
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::i32:
    case DType::u32:
    case DType::i64:
    case DType::u64:
      std::memcpy(element, &bits_, dtype_size(dtype_));  // little endian: the low bytes
      return;
    case DType::f16:
    case DType::bf16: {
      const uint16_t half =
          dtype_ == DType::f16 ? f64_to_f16(as_double()) : f64_to_bf16(as_double());
      std::memcpy(element, &half, sizeof half);
      return;
    }
    case DType::f32: {
      const float value = static_cast<float>(as_double());
      std::memcpy(element, &value, sizeof value);
      return;
    }
    case DType::f64:
      std::memcpy(element, &bits_, sizeof bits_);
      return;
  }
  PLAIT_UNREACHABLE("dtype {}", static_cast<int>(dtype_));
}

}  // namespace plait

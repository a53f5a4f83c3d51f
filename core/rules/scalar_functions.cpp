#include "core/rules/scalar_functions.h"

#include <cmath>
#include <cstring>

#include "core/error.h"

namespace plait {
namespace {

template <class T>
T read(const std::byte* elements, int64_t position) {
  T value;
  std::memcpy(&value, elements + position * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <class T>
void write(std::byte* elements, int64_t position, T value) {
  std::memcpy(elements + position * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

int bit_width_of(DType dtype) {
  return dtype == DType::boolean ? 1 : static_cast<int>(dtype_size(dtype)) * 8;
}

int64_t wrapping_mul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}
int64_t wrapping_add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
int64_t wrapping_neg(int64_t a) { return static_cast<int64_t>(-static_cast<uint64_t>(a)); }

// Only u64 needs it: the smaller unsigned types are positive as int64.
bool less(DType dtype, int64_t a, int64_t b) {
  return dtype == DType::u64 ? static_cast<uint64_t>(a) < static_cast<uint64_t>(b) : a < b;
}

int64_t floor_quotient(DType dtype, int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (dtype == DType::u64) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) / static_cast<uint64_t>(b));
  }
  if (b == -1) return wrapping_neg(a);
  const int64_t q = a / b;
  return q - ((a % b != 0) && ((a < 0) != (b < 0)));
}

int64_t floor_remainder(DType dtype, int64_t a, int64_t b) {
  if (b == 0) return 0;
  return wrapping_add(a, wrapping_neg(wrapping_mul(floor_quotient(dtype, a, b), b)));
}

double real_remainder(double a, double b) {
  const double r = std::fmod(a, b);
  if (r == 0) return std::copysign(0.0, b);
  return (r < 0) != (b < 0) ? r + b : r;
}

double real_maximum(double a, double b) {
  if (std::isnan(a)) return a;
  if (std::isnan(b)) return b;
  if (a == b) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}
double real_minimum(double a, double b) { return -real_maximum(-a, -b); }

double reciprocal_root(double x) {
  return static_cast<double>(1.0L / std::sqrt(static_cast<long double>(x)));
}

double real_unary(UnaryOp op, double x) {
  switch (op) {
    case UnaryOp::neg:
      return -x;
    case UnaryOp::abs:
      return std::fabs(x);
    case UnaryOp::sign:
      return x > 0 ? 1.0 : x < 0 ? -1.0 : x == 0 ? 0.0 : x;
    case UnaryOp::floor:
      return std::floor(x);
    case UnaryOp::ceil:
      return std::ceil(x);
    case UnaryOp::round:
      return std::nearbyint(x);
    case UnaryOp::trunc:
      return std::trunc(x);
    case UnaryOp::sqrt:
      return std::sqrt(x);
    case UnaryOp::rsqrt:
      return reciprocal_root(x);
    case UnaryOp::exp:
      return std::exp(x);
    case UnaryOp::expm1:
      return std::expm1(x);
    case UnaryOp::log:
      return std::log(x);
    case UnaryOp::log1p:
      return std::log1p(x);
    case UnaryOp::log2:
      return std::log2(x);
    case UnaryOp::sin:
      return std::sin(x);
    case UnaryOp::cos:
      return std::cos(x);
    case UnaryOp::tanh:
      return std::tanh(x);
    case UnaryOp::erf:
      return std::erf(x);
    case UnaryOp::logical_not:
    case UnaryOp::bitwise_not:
    case UnaryOp::is_nan:
      break;
  }
  PLAIT_UNREACHABLE("{} of floats", name_of(op));
}

int64_t integer_unary(UnaryOp op, DType dtype, int64_t x) {
  switch (op) {
    case UnaryOp::neg:
      return wrapping_neg(x);
    case UnaryOp::abs:
      return is_signed(dtype) && x < 0 ? wrapping_neg(x) : x;
    case UnaryOp::sign:
      return less(dtype, 0, x) - less(dtype, x, 0);
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::round:
    case UnaryOp::trunc:
      return x;
    case UnaryOp::bitwise_not:
      return ~x;
    case UnaryOp::logical_not:
      return x == 0;
    case UnaryOp::is_nan:
      return 0;
    case UnaryOp::sqrt:
    case UnaryOp::rsqrt:
    case UnaryOp::exp:
    case UnaryOp::expm1:
    case UnaryOp::log:
    case UnaryOp::log1p:
    case UnaryOp::log2:
    case UnaryOp::sin:
    case UnaryOp::cos:
    case UnaryOp::tanh:
    case UnaryOp::erf:
      break;
  }
  PLAIT_UNREACHABLE("{} of integers", name_of(op));
}

Number real_binary(BinaryOp op, DType dtype, double a, double b) {
  switch (op) {
    case BinaryOp::add:
      return real(round_to(dtype, a + b));
    case BinaryOp::sub:
      return real(round_to(dtype, a - b));
    case BinaryOp::mul:
      return real(round_to(dtype, a * b));
    case BinaryOp::div:
      return real(round_to(dtype, a / b));
    case BinaryOp::mod:
      return real(round_to(dtype, real_remainder(a, b)));
    case BinaryOp::pow:
      return real(round_to(dtype, std::pow(a, b)));
    case BinaryOp::maximum:
      return real(real_maximum(a, b));
    case BinaryOp::minimum:
      return real(real_minimum(a, b));
    case BinaryOp::atan2:
      return real(round_to(dtype, std::atan2(a, b)));
    case BinaryOp::eq:
      return integer(a == b);
    case BinaryOp::ne:
      return integer(a != b);
    case BinaryOp::lt:
      return integer(a < b);
    case BinaryOp::le:
      return integer(a <= b);
    case BinaryOp::bit_and:
    case BinaryOp::bit_or:
    case BinaryOp::bit_xor:
    case BinaryOp::shift_left:
    case BinaryOp::shift_right:
      break;
  }
  PLAIT_UNREACHABLE("{} of floats", name_of(op));
}

// A shift by the width or more (or by a negative number) moves every bit out.
int64_t shifted_left(DType dtype, int64_t a, int64_t b) {
  if (b < 0 || b >= bit_width_of(dtype)) return 0;
  return static_cast<int64_t>(static_cast<uint64_t>(a) << b);
}
int64_t shifted_right(DType dtype, int64_t a, int64_t b) {
  const bool out = b < 0 || b >= bit_width_of(dtype);
  if (is_signed(dtype)) return out ? (a < 0 ? -1 : 0) : a >> b;
  return out ? 0 : static_cast<int64_t>(static_cast<uint64_t>(a) >> b);
}

int64_t integer_binary(BinaryOp op, DType dtype, int64_t a, int64_t b) {
  switch (op) {
    case BinaryOp::add:
      return wrapping_add(a, b);
    case BinaryOp::sub:
      return wrapping_add(a, wrapping_neg(b));
    case BinaryOp::mul:
      return wrapping_mul(a, b);
    case BinaryOp::div:
      return floor_quotient(dtype, a, b);
    case BinaryOp::mod:
      return floor_remainder(dtype, a, b);
    case BinaryOp::maximum:
      return less(dtype, a, b) ? b : a;
    case BinaryOp::minimum:
      return less(dtype, b, a) ? b : a;
    case BinaryOp::eq:
      return a == b;
    case BinaryOp::ne:
      return a != b;
    case BinaryOp::lt:
      return less(dtype, a, b);
    case BinaryOp::le:
      return !less(dtype, b, a);
    case BinaryOp::bit_and:
      return a & b;
    case BinaryOp::bit_or:
      return a | b;
    case BinaryOp::bit_xor:
      return a ^ b;
    case BinaryOp::shift_left:
      return shifted_left(dtype, a, b);
    case BinaryOp::shift_right:
      return shifted_right(dtype, a, b);
    case BinaryOp::pow:
    case BinaryOp::atan2:
      break;
  }
  PLAIT_UNREACHABLE("{} of integers", name_of(op));
}

bool is_comparison(BinaryOp op) {
  return op == BinaryOp::eq || op == BinaryOp::ne || op == BinaryOp::lt || op == BinaryOp::le;
}

}  // namespace

Number load_number(DType dtype, const std::byte* elements, int64_t position) {
  switch (dtype) {
    case DType::boolean:
      return integer(read<uint8_t>(elements, position) != 0);
    case DType::i8:
      return integer(read<int8_t>(elements, position));
    case DType::u8:
      return integer(read<uint8_t>(elements, position));
    case DType::i16:
      return integer(read<int16_t>(elements, position));
    case DType::i32:
      return integer(read<int32_t>(elements, position));
    case DType::u32:
      return integer(read<uint32_t>(elements, position));
    case DType::i64:
    case DType::u64:
      return integer(read<int64_t>(elements, position));
    case DType::f16:
      return real(f16_to_f32(read<uint16_t>(elements, position)));
    case DType::bf16:
      return real(bf16_to_f32(read<uint16_t>(elements, position)));
    case DType::f32:
      return real(read<float>(elements, position));
    case DType::f64:
      return real(read<double>(elements, position));
  }
  PLAIT_UNREACHABLE("dtype {}", static_cast<int>(dtype));
}

void store_number(DType dtype, std::byte* elements, int64_t position, Number value) {
  switch (dtype) {
    case DType::boolean:
      return write<uint8_t>(elements, position, value.i != 0);
    case DType::i8:
    case DType::u8:
      return write(elements, position, static_cast<uint8_t>(value.i));
    case DType::i16:
      return write(elements, position, static_cast<uint16_t>(value.i));
    case DType::i32:
    case DType::u32:
      return write(elements, position, static_cast<uint32_t>(value.i));
    case DType::i64:
    case DType::u64:
      return write(elements, position, value.i);
    case DType::f16:
      return write(elements, position, f64_to_f16(value.f));
    case DType::bf16:
      return write(elements, position, f64_to_bf16(value.f));
    case DType::f32:
      return write(elements, position, static_cast<float>(value.f));
    case DType::f64:
      return write(elements, position, value.f);
  }
  PLAIT_UNREACHABLE("dtype {}", static_cast<int>(dtype));
}

double round_to(DType dtype, double value) {
  switch (dtype) {
    case DType::f64:
      return value;
    case DType::f32:
      return static_cast<float>(value);
    case DType::f16:
      return f16_to_f32(f64_to_f16(value));
    case DType::bf16:
      return bf16_to_f32(f64_to_bf16(value));
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
  PLAIT_UNREACHABLE("{} is no float", dtype_name(dtype));
}

int64_t wrap_to(DType dtype, int64_t value) {
  switch (dtype) {
    case DType::boolean:
      return value != 0;
    case DType::i8:
      return static_cast<int8_t>(value);
    case DType::u8:
      return static_cast<uint8_t>(value);
    case DType::i16:
      return static_cast<int16_t>(value);
    case DType::i32:
      return static_cast<int32_t>(value);
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
  PLAIT_UNREACHABLE("{} is no integer", dtype_name(dtype));
}

Number number_of(Scalar scalar, DType dtype) {
  const Scalar value = scalar.cast(dtype);
  return is_float(dtype) ? real(value.as_double()) : integer(static_cast<int64_t>(value.bits()));
}

Number convert(Number value, DType from, DType to) {
  if (from == to) return value;
  if (is_float(from)) {
    if (is_float(to)) return real(round_to(to, value.f));
    if (to == DType::boolean) return integer(value.f != 0);  // NaN is true
    return integer(static_cast<int64_t>(Scalar(to, value.f).bits()));
  }
  if (!is_float(to)) return integer(wrap_to(to, value.i));
  const bool wide = from == DType::u64;
  if (to == DType::f32) {
    return real(wide ? static_cast<float>(static_cast<uint64_t>(value.i))
                     : static_cast<float>(value.i));
  }
  // For the halves a double is exact far beyond their largest finite number.
  return real(round_to(to, wide ? static_cast<double>(static_cast<uint64_t>(value.i))
                                : static_cast<double>(value.i)));
}

Number apply(UnaryOp op, DType dtype, Number x) {
  if (is_float(dtype)) {
    if (op == UnaryOp::is_nan) return integer(std::isnan(x.f));
    return real(round_to(dtype, real_unary(op, x.f)));
  }
  return integer(wrap_to(dtype, integer_unary(op, dtype, x.i)));
}

Number apply(BinaryOp op, DType dtype, Number a, Number b) {
  if (is_float(dtype)) return real_binary(op, dtype, a.f, b.f);
  const int64_t result = integer_binary(op, dtype, a.i, b.i);
  return integer(is_comparison(op) ? result : wrap_to(dtype, result));
}

Number apply_fma(DType dtype, Number a, Number b, Number c) {
  if (!is_float(dtype)) {
    return integer(wrap_to(dtype, wrapping_add(wrapping_mul(a.i, b.i), c.i)));
  }
  if (dtype == DType::f64) return real(std::fma(a.f, b.f, c.f));
  const float result =
      std::fma(static_cast<float>(a.f), static_cast<float>(b.f), static_cast<float>(c.f));
  return real(round_to(dtype, result));
}

}  // namespace plait

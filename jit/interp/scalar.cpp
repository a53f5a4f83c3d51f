#include "jit/interp/scalar.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/error.h"
#include "core/random.h"
#include "jit/kernel/types.h"

namespace plait {

using kernel::Op;

namespace {

template <class T>
T get(RawValue raw) {
  if constexpr (std::is_same_v<T, bool>) {
    return raw != 0;
  } else {
    T value;
    std::memcpy(&value, &raw, sizeof value);
    return value;
  }
}

template <class T>
RawValue put(T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? 1 : 0;
  } else {
    RawValue raw = 0;
    std::memcpy(&raw, &value, sizeof value);
    return raw;
  }
}

[[noreturn]] void wrong_type(Op op, DType type) {
  PLAIT_UNREACHABLE("{} of {}", kernel::name_of(op), dtype_name(type));
}

// Wrapping arithmetic: in 64 unsigned bits, then cut. Signed operands arrive sign-extended.
template <class T>
uint64_t wide(T a) {
  return static_cast<uint64_t>(a);
}

template <class T>
T integer_div(T a, T b) {
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return static_cast<T>(-wide(a));
    const T quotient = static_cast<T>(a / b);
    return static_cast<T>(quotient - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0));
  } else {
    return static_cast<T>(a / b);
  }
}

template <class T>
T integer_mod(T a, T b) {
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return 0;
    const T rest = static_cast<T>(a % b);
    return rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
  } else {
    return static_cast<T>(a % b);
  }
}

template <class T>
T float_mod(T a, T b) {
  const T rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(T{0}, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

// Amounts count as outside [0, bits) if negative, too.
template <class T>
T shift(Op op, T a, T amount) {
  constexpr uint64_t kBits = sizeof(T) * 8;
  const bool outside = wide(amount) >= kBits;
  if (op == Op::shift_left) return outside ? T{0} : static_cast<T>(wide(a) << wide(amount));
  if (outside) return std::is_signed_v<T> && a < 0 ? static_cast<T>(-1) : T{0};
  return static_cast<T>(a >> amount);
}

template <class T>
T extreme(Op op, T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a)) return a;
    if (std::isnan(b)) return b;
    if (a == 0 && b == 0) return std::signbit(a) == (op == Op::maximum) ? b : a;
  }
  return op == Op::maximum ? (a < b ? b : a) : (b < a ? b : a);
}

template <class T>
T float_unary(Op op, T a) {
  if (op == Op::neg) return -a;
  if (op == Op::abs) return std::fabs(a);
  if (op == Op::sqrt) return std::sqrt(a);
  if (op == Op::floor) return std::floor(a);
  if (op == Op::ceil) return std::ceil(a);
  if (op == Op::round) return std::nearbyint(a);
  if (op == Op::trunc) return std::trunc(a);
  PLAIT_UNREACHABLE("{} of a float", kernel::name_of(op));
}

template <class T>
T integer_unary(Op op, T a) {
  if (op == Op::neg) return static_cast<T>(-wide(a));
  if (op == Op::abs) return std::is_signed_v<T> && a < 0 ? static_cast<T>(-wide(a)) : a;
  if (op == Op::bit_not) return static_cast<T>(~wide(a));
  PLAIT_UNREACHABLE("{} of an integer", kernel::name_of(op));
}

template <class T>
T float_binary(Op op, T a, T b) {
  if (op == Op::add) return a + b;
  if (op == Op::sub) return a - b;
  if (op == Op::mul) return a * b;
  if (op == Op::div) return a / b;
  if (op == Op::mod) return float_mod(a, b);
  if (op == Op::maximum || op == Op::minimum) return extreme(op, a, b);
  if (op == Op::ldexp) return std::isnan(b) ? b : std::ldexp(a, static_cast<int>(b));
  PLAIT_UNREACHABLE("{} of floats", kernel::name_of(op));
}

template <class T>
T integer_binary(Op op, T a, T b) {
  if (op == Op::add) return static_cast<T>(wide(a) + wide(b));
  if (op == Op::sub) return static_cast<T>(wide(a) - wide(b));
  if (op == Op::mul) return static_cast<T>(wide(a) * wide(b));
  if (op == Op::div) return integer_div(a, b);
  if (op == Op::mod) return integer_mod(a, b);
  if (op == Op::maximum || op == Op::minimum) return extreme(op, a, b);
  if (op == Op::mul_high) return static_cast<T>((wide(a) * wide(b)) >> 32);  // u32 alone
  if (op == Op::bit_and) return static_cast<T>(a & b);
  if (op == Op::bit_or) return static_cast<T>(a | b);
  if (op == Op::bit_xor) return static_cast<T>(a ^ b);
  if (op == Op::shift_left || op == Op::shift_right) return shift(op, a, b);
  PLAIT_UNREACHABLE("{} of integers", kernel::name_of(op));
}

bool boolean_binary(Op op, bool a, bool b) {
  if (op == Op::bit_and) return a && b;
  if (op == Op::bit_or) return a || b;
  if (op == Op::bit_xor) return a != b;
  PLAIT_UNREACHABLE("{} of booleans", kernel::name_of(op));
}

template <class T>
bool compare(Op op, T a, T b) {
  if (op == Op::eq) return a == b;
  if (op == Op::ne) return a != b;
  if (op == Op::lt) return a < b;
  if (op == Op::le) return a <= b;
  PLAIT_UNREACHABLE("{} is no comparison", kernel::name_of(op));
}

template <class T>
RawValue arithmetic(Op op, std::span<const RawValue> operands) {
  const T a = get<T>(operands[0]);
  switch (kernel::class_of(op)) {
    case kernel::OpClass::unary:
      if constexpr (std::is_same_v<T, bool>) {
        return put(!a);  // bit_not
      } else if constexpr (std::is_floating_point_v<T>) {
        return put(float_unary(op, a));
      } else {
        return put(integer_unary(op, a));
      }
    case kernel::OpClass::binary:
      if constexpr (std::is_same_v<T, bool>) {
        return put(boolean_binary(op, a, get<T>(operands[1])));
      } else if constexpr (std::is_floating_point_v<T>) {
        return put(float_binary(op, a, get<T>(operands[1])));
      } else {
        return put(integer_binary(op, a, get<T>(operands[1])));
      }
    case kernel::OpClass::comparison:
      return put(compare(op, a, get<T>(operands[1])));
    case kernel::OpClass::ternary:
      if constexpr (std::is_floating_point_v<T>)
        return put(std::fma(a, get<T>(operands[1]), get<T>(operands[2])));
      break;
    case kernel::OpClass::immediate:
    case kernel::OpClass::select:
    case kernel::OpClass::conversion:
    case kernel::OpClass::draw:
    case kernel::OpClass::memory:
    case kernel::OpClass::tile:
    case kernel::OpClass::structure:
      break;
  }
  PLAIT_UNREACHABLE("{} is no arithmetic", kernel::name_of(op));
}

template <class F>
auto with_compute_type(Op op, DType type, F&& f) {
  switch (type) {
    case DType::boolean:
      return f(bool{});
    case DType::i8:
      return f(int8_t{});
    case DType::u8:
      return f(uint8_t{});
    case DType::i16:
      return f(int16_t{});
    case DType::i32:
      return f(int32_t{});
    case DType::i64:
      return f(int64_t{});
    case DType::u32:
      return f(uint32_t{});
    case DType::u64:
      return f(uint64_t{});
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::f16:
    case DType::bf16:
      break;
  }
  wrong_type(op, type);
}

// Casts. The halves widen to f32 without error, so only casts to them are cases of their own.
template <class To, class From>
To convert(From a) {
  if constexpr (std::is_same_v<To, bool>) {
    return a != From{0};  // NaN is true
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    using Limits = std::numeric_limits<To>;
    if (std::isnan(a)) return 0;
    // 2^(value bits): the first value too large, exact in every float type.
    const From above = std::ldexp(From{1}, Limits::digits);
    const From whole = std::trunc(a);
    if (whole >= above) return Limits::max();
    if (whole < (std::is_signed_v<To> ? -above : From{0})) return Limits::min();
    return static_cast<To>(whole);
  } else {
    return static_cast<To>(a);
  }
}

// Rounded once, from integers too.
template <class From>
RawValue to_half(DType to, From a) {
  if constexpr (std::is_integral_v<From>) {
    const DType from = std::is_same_v<From, uint64_t> ? DType::u64 : DType::i64;
    return raw_of(Scalar(from, static_cast<int64_t>(a)).cast(to));
  } else if constexpr (std::is_same_v<From, double>) {
    return put(to == DType::f16 ? f64_to_f16(a) : f64_to_bf16(a));
  } else {
    return put(to == DType::f16 ? f32_to_f16(a) : f32_to_bf16(a));
  }
}

RawValue cast(DType from, DType to, RawValue value) {
  if (from == to) return value;
  if (from == DType::f16 || from == DType::bf16) {
    const auto bits = get<uint16_t>(value);
    const float single = from == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
    return cast(DType::f32, to, put(single));
  }
  return with_compute_type(Op::cast, from, [&](auto tag) -> RawValue {
    using From = decltype(tag);
    const From a = get<From>(value);
    if (to == DType::f16 || to == DType::bf16) return to_half(to, a);
    return with_compute_type(
        Op::cast, to, [&](auto to_tag) -> RawValue { return put(convert<decltype(to_tag)>(a)); });
  });
}

}  // namespace

RawValue load_raw(DType dtype, const void* element) {
  RawValue raw = 0;
  std::memcpy(&raw, element, dtype_size(dtype));
  return raw;
}

void store_raw(DType dtype, RawValue value, void* element) {
  std::memcpy(element, &value, dtype_size(dtype));
}

RawValue raw_of(const Scalar& scalar) {
  RawValue raw = 0;
  scalar.store(&raw);
  return raw;
}

int64_t integer_of(DType dtype, RawValue value) {
  return with_compute_type(
      Op::bind, dtype, [&](auto tag) { return static_cast<int64_t>(get<decltype(tag)>(value)); });
}

RawValue apply(Op op, DType type, DType result, std::span<const RawValue> operands) {
  switch (kernel::class_of(op)) {
    case kernel::OpClass::select:
      return operands[0] != 0 ? operands[1] : operands[2];
    case kernel::OpClass::conversion:
      return op == Op::cast ? cast(type, result, operands[0]) : operands[0];
    case kernel::OpClass::draw:
      return put(random::element_bits(operands[3], get<int64_t>(operands[0]),
                                      get<int64_t>(operands[1]), operands[2]));
    case kernel::OpClass::unary:
    case kernel::OpClass::binary:
    case kernel::OpClass::comparison:
    case kernel::OpClass::ternary:
      return with_compute_type(op, type,
                               [&](auto tag) { return arithmetic<decltype(tag)>(op, operands); });
    case kernel::OpClass::immediate:
    case kernel::OpClass::memory:
    case kernel::OpClass::tile:
    case kernel::OpClass::structure:
      break;
  }
  PLAIT_UNREACHABLE("{} has no value to apply", kernel::name_of(op));
}

}  // namespace plait

// Element types, their traits, and the promotion of mixed operands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace plait {

enum class DType : uint8_t { boolean, i8, u8, i16, i32, i64, u32, u64, f16, bf16, f32, f64 };

inline constexpr DType kAllDTypes[] = {DType::boolean, DType::i8,   DType::u8,  DType::i16,
                                       DType::i32,     DType::i64,  DType::u32, DType::u64,
                                       DType::f16,     DType::bf16, DType::f32, DType::f64};

const char* dtype_name(DType dtype);  // "f32", "bool", …
std::optional<DType> parse_dtype(std::string_view name);

size_t dtype_size(DType dtype);  // bytes
bool is_float(DType dtype);
bool is_integer(DType dtype);  // not boolean
bool is_signed(DType dtype);   // signed integers and floats

// The type in which values of `dtype` are computed and summed: f32 for the half types, else itself.
DType compute_type(DType dtype);

// The result type of an operation on two tensors: PyTorch's lattice (bool < integers < floats;
// f16 with bf16 gives f32; u32 and u64 promote with signed integers to i64).
DType promote(DType a, DType b);

// The type that a Python or C++ scalar takes beside a tensor of `tensor` dtype: the tensor's own
// unless the scalar is of a higher category (a float beside integers gives f32).
DType promote_scalar(DType tensor, DType scalar);

// f32 <-> half conversions; to halves rounds to nearest, ties to even, NaN stays NaN.
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);
uint16_t f64_to_bf16(double value);  // one rounding, not two
uint16_t f64_to_f16(double value);

// One element of any dtype. Floats (f16, bf16, f32, f64) are held as a double, integers and
// booleans as 64 bits (two's complement); the value is exactly representable in `dtype`.
class Scalar {
 public:
  Scalar() : Scalar(DType::f32, 0.0) {}
  Scalar(DType dtype, double value);  // rounds or wraps to `dtype`
  Scalar(DType dtype, int64_t value);
  Scalar(DType dtype, int value) : Scalar(dtype, static_cast<int64_t>(value)) {}

  DType dtype() const { return dtype_; }
  double as_double() const;                // u64 above 2^53 rounds
  int64_t as_int() const;                  // floats truncate; out of range saturates
  uint64_t bits() const { return bits_; }  // identity: equal dtype and bits are the same scalar
  Scalar cast(DType dtype) const;
  std::string to_string() const;  // shortest text that parses back: "1.5", "-inf", "nan", "true"

  static Scalar parse(DType dtype, std::string_view text);  // UserError on bad text
  static Scalar load(DType dtype, const void* element);
  void store(void* element) const;

  friend bool operator==(const Scalar& a, const Scalar& b) {
    return a.dtype_ == b.dtype_ && a.bits_ == b.bits_;
  }

 private:
  DType dtype_;
  uint64_t bits_;  // of the double, or the integer
};

}  // namespace plait

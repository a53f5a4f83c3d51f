// Conversions between element types.
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <cmath>

#include "jit/llvm/emitter.h"

namespace plait::native {

namespace {

bool is_half(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

}  // namespace

llvm::Value* Emitter::bitcast(llvm::Value* a, llvm::Type* scalar) {
  return b_.CreateBitCast(a, with_lanes_of(a, scalar));
}

llvm::Value* Emitter::cast(DType from, DType to, llvm::Value* a) {
  if (from == to) return a;
  llvm::Type* type = with_lanes_of(a, value_type(to));
  if (is_half(from)) {
    llvm::Value* wide = widen_half(from, a);
    return to == DType::f32 ? wide : cast(DType::f32, to, wide);
  }
  if (to == DType::boolean) {
    llvm::Constant* zero = llvm::Constant::getNullValue(a->getType());
    return is_float(from) ? b_.CreateFCmpUNE(a, zero) : b_.CreateICmpNE(a, zero);
  }
  if (is_float(from) && is_half(to)) return narrow_to_half(to, a);
  if (is_float(from) && is_float(to))
    return to == DType::f64 ? b_.CreateFPExt(a, type) : b_.CreateFPTrunc(a, type);
  if (is_float(from)) return float_to_integer(to, a);
  if (is_float(to)) return integer_to_float(from, to, a);
  return is_signed(from) ? b_.CreateSExtOrTrunc(a, type) : b_.CreateZExtOrTrunc(a, type);
}

// Truncates and saturates; NaN gives 0.
llvm::Value* Emitter::float_to_integer(DType to, llvm::Value* a) {
  unsigned width = dtype_size(to) * 8;
  bool sign = is_signed(to);
  if (isa_.has_saturating_casts)
    return b_.CreateIntrinsic(sign ? llvm::Intrinsic::fptosi_sat : llvm::Intrinsic::fptoui_sat,
                              {with_lanes_of(a, value_type(to)), a->getType()}, {a});
  // Narrow integers are cut from 32 bits, in which every float type holds their bounds exactly.
  llvm::Type* type = with_lanes_of(a, b_.getIntNTy(std::max(width, 32u)));
  double least = sign ? -std::ldexp(1.0, width - 1) : 0.0;
  double beyond = std::ldexp(1.0, sign ? width - 1 : width);  // the first number that is too big
  llvm::Value* whole = b_.CreateUnaryIntrinsic(llvm::Intrinsic::trunc, a);
  llvm::Value* low = b_.CreateFCmpOLT(whole, llvm::ConstantFP::get(a->getType(), least));
  llvm::Value* high = b_.CreateFCmpOGE(whole, llvm::ConstantFP::get(a->getType(), beyond));
  llvm::Value* nan = b_.CreateFCmpUNO(a, a);
  llvm::Value* outside = b_.CreateOr(b_.CreateOr(low, high), nan);
  llvm::Value* inside = b_.CreateSelect(outside, llvm::Constant::getNullValue(a->getType()), whole);
  llvm::Value* result = sign ? b_.CreateFPToSI(inside, type) : b_.CreateFPToUI(inside, type);
  unsigned bits = type->getScalarSizeInBits();
  llvm::APInt smallest =
      sign ? llvm::APInt::getSignedMinValue(width).sext(bits) : llvm::APInt::getZero(bits);
  llvm::APInt largest = sign ? llvm::APInt::getSignedMaxValue(width).sext(bits)
                             : llvm::APInt::getMaxValue(width).zext(bits);
  if (sign) result = b_.CreateSelect(low, llvm::ConstantInt::get(type, smallest), result);
  result = b_.CreateSelect(high, llvm::ConstantInt::get(type, largest), result);
  return b_.CreateTrunc(result, with_lanes_of(a, value_type(to)));
}

llvm::Value* Emitter::integer_to_float(DType from, DType to, llvm::Value* a) {
  // Integers reach a half by way of f32.
  llvm::Type* type = with_lanes_of(a, is_half(to) ? b_.getFloatTy() : value_type(to));
  bool sign = is_signed(from);
  llvm::Value* wide = sign ? b_.CreateSIToFP(a, type) : b_.CreateUIToFP(a, type);
  return is_half(to) ? narrow_to_half(to, wide) : wide;
}

llvm::Value* Emitter::widen_half(DType from, llvm::Value* a) {
  llvm::Type* integer = with_lanes_of(a, b_.getInt32Ty());
  llvm::Type* real = with_lanes_of(a, b_.getFloatTy());
  if (from == DType::bf16)
    return b_.CreateBitCast(b_.CreateShl(b_.CreateZExt(a, integer), 16), real);
  if (isa_.native_f16) return b_.CreateFPExt(bitcast(a, b_.getHalfTy()), real);
  // Move exponent and fraction into place and scale the exponent by a product, which is exact and
  // normalises; infinity and NaN get all exponent bits.
  auto word = [&](uint32_t bits) { return llvm::ConstantInt::get(integer, bits); };
  llvm::Value* wide = b_.CreateZExt(a, integer);
  llvm::Value* magnitude = b_.CreateShl(b_.CreateAnd(wide, word(0x7fff)), 13);
  llvm::Value* scaled = b_.CreateFMul(b_.CreateBitCast(magnitude, real),
                                      llvm::ConstantFP::get(real, std::ldexp(1.0, 112)));
  llvm::Value* finite = b_.CreateBitCast(scaled, integer);
  llvm::Value* special = b_.CreateOr(magnitude, word(0x7f800000));
  llvm::Value* is_special = b_.CreateICmpUGE(magnitude, word(0x7c00u << 13));
  llvm::Value* sign = b_.CreateShl(b_.CreateAnd(wide, word(0x8000)), 16);
  return b_.CreateBitCast(b_.CreateOr(b_.CreateSelect(is_special, special, finite), sign), real);
}

// From f32 or f64; rounds once, to nearest even.
llvm::Value* Emitter::narrow_to_half(DType to, llvm::Value* a) {
  if (a->getType()->getScalarType()->isDoubleTy()) a = round_to_odd_f32(a);
  return to == DType::bf16 ? narrow_to_bf16(a) : narrow_to_f16(a);
}

// f64 -> f32 such that a later rounding to fewer bits sees whether anything was cut off: the last
// bit is 1 if so.
llvm::Value* Emitter::round_to_odd_f32(llvm::Value* a) {
  llvm::Type* real = with_lanes_of(a, b_.getFloatTy());
  llvm::Type* integer = with_lanes_of(a, b_.getInt32Ty());
  llvm::Constant* one = llvm::ConstantInt::get(integer, 1);
  llvm::Value* nearest = b_.CreateFPTrunc(a, real);
  llvm::Value* back = b_.CreateFPExt(nearest, a->getType());
  auto magnitude = [&](llvm::Value* x) {
    return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
  };
  llvm::Value* too_big = b_.CreateFCmpOGT(magnitude(back), magnitude(a));
  llvm::Value* inexact = b_.CreateFCmpONE(back, a);
  llvm::Value* bits = b_.CreateBitCast(nearest, integer);
  bits = b_.CreateSelect(too_big, b_.CreateSub(bits, one), bits);
  bits = b_.CreateSelect(inexact, b_.CreateOr(bits, one), bits);
  return b_.CreateBitCast(bits, real);
}

llvm::Value* Emitter::narrow_to_bf16(llvm::Value* a) {
  llvm::Type* integer = with_lanes_of(a, b_.getInt32Ty());
  auto word = [&](uint32_t bits) { return llvm::ConstantInt::get(integer, bits); };
  llvm::Value* bits = b_.CreateBitCast(a, integer);
  llvm::Value* odd = b_.CreateAnd(b_.CreateLShr(bits, 16), word(1));
  llvm::Value* rounded = b_.CreateAdd(bits, b_.CreateAdd(odd, word(0x7fff)));
  // A NaN must not carry into its exponent or lose its last bit.
  llvm::Value* quiet = b_.CreateOr(bits, word(0x400000));
  llvm::Value* result = b_.CreateSelect(b_.CreateFCmpUNO(a, a), quiet, rounded);
  return b_.CreateTrunc(b_.CreateLShr(result, 16), with_lanes_of(a, b_.getInt16Ty()));
}

llvm::Value* Emitter::narrow_to_f16(llvm::Value* a) {
  if (isa_.native_f16)
    return bitcast(b_.CreateFPTrunc(a, with_lanes_of(a, b_.getHalfTy())), b_.getInt16Ty());
  llvm::Type* integer = with_lanes_of(a, b_.getInt32Ty());
  auto word = [&](uint32_t bits) { return llvm::ConstantInt::get(integer, bits); };
  llvm::Value* bits = b_.CreateBitCast(a, integer);
  llvm::Value* magnitude = b_.CreateAnd(bits, word(0x7fffffff));
  // Below 2^-14: adding 0.5 puts the last bit of the result at the last bit of the sum.
  llvm::Value* half = llvm::ConstantFP::get(a->getType(), 0.5);
  llvm::Value* sum = b_.CreateFAdd(b_.CreateBitCast(magnitude, a->getType()), half);
  llvm::Value* small = b_.CreateSub(b_.CreateBitCast(sum, integer), word(0x3f000000));
  // Else: move the exponent's bias from 127 to 15 and round; a carry may reach infinity, rightly.
  llvm::Value* odd = b_.CreateAnd(b_.CreateLShr(magnitude, 13), word(1));
  llvm::Value* moved = b_.CreateAdd(magnitude, word(0xc8000fff));
  llvm::Value* normal = b_.CreateLShr(b_.CreateAdd(moved, odd), 13);
  llvm::Value* result =
      b_.CreateSelect(b_.CreateICmpULT(magnitude, word(0x38800000)), small, normal);
  result = b_.CreateSelect(b_.CreateICmpUGE(magnitude, word(0x47800000)), word(0x7c00), result);
  llvm::Value* nan = b_.CreateOr(b_.CreateAnd(b_.CreateLShr(bits, 13), word(0x3ff)), word(0x7e00));
  result = b_.CreateSelect(b_.CreateFCmpUNO(a, a), nan, result);
  llvm::Value* sign = b_.CreateAnd(b_.CreateLShr(bits, 16), word(0x8000));
  return b_.CreateTrunc(b_.CreateOr(result, sign), with_lanes_of(a, b_.getInt16Ty()));
}

}  // namespace plait::native

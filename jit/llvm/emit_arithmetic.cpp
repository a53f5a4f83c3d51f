// Arithmetic on scalars and lanes, with the meanings of jit/kernel/nodes.def.
#include <llvm/Analysis/VectorUtils.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <cmath>
#include <numeric>

#include "jit/llvm/emitter.h"

namespace plait::native {

namespace {

llvm::Constant* zero_of(llvm::Value* value) {
  return llvm::Constant::getNullValue(value->getType());
}

// The one value of a constant or of all its lanes.
const llvm::Constant* uniform_constant(llvm::Value* value) {
  auto* constant = llvm::dyn_cast<llvm::Constant>(value);
  if (constant && constant->getType()->isVectorTy()) return constant->getSplatValue();
  return constant;
}

}  // namespace

llvm::Value* Emitter::unary(Op op, DType dtype, llvm::Value* a) {
  bool real = a->getType()->isFPOrFPVectorTy();
  auto rounding = [&](llvm::Intrinsic::ID id) {
    return real ? b_.CreateUnaryIntrinsic(id, a) : a;  // integers are whole already
  };
  switch (op) {
    case Op::neg:
      return real ? b_.CreateFNeg(a) : b_.CreateNeg(a);
    case Op::abs:
      if (real) return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, a);
      if (!is_signed(dtype)) return a;
      return b_.CreateBinaryIntrinsic(llvm::Intrinsic::abs, a, b_.getFalse());
    case Op::sqrt:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, a);
    case Op::floor:
      return rounding(llvm::Intrinsic::floor);
    case Op::ceil:
      return rounding(llvm::Intrinsic::ceil);
    case Op::round:
      return rounding(llvm::Intrinsic::roundeven);
    case Op::trunc:
      return rounding(llvm::Intrinsic::trunc);
    case Op::bit_not:
      // As the other comparison, a mask can zero the lanes of an instruction by itself.
      if (auto* compared = llvm::dyn_cast<llvm::FCmpInst>(a))
        return b_.CreateFCmp(compared->getInversePredicate(), compared->getOperand(0),
                             compared->getOperand(1));
      return b_.CreateNot(a);
    default:
      PLAIT_UNREACHABLE("{} has not one operand", name_of(op));
  }
}

llvm::Value* Emitter::binary(Op op, DType dtype, llvm::Value* a, llvm::Value* b) {
  return is_float(dtype) ? float_binary(op, a, b) : integer_binary(op, dtype, a, b);
}

llvm::Value* Emitter::float_binary(Op op, llvm::Value* a, llvm::Value* b) {
  PLAIT_INTERNAL_CHECK(a->getType()->isFPOrFPVectorTy(), "{}: {} on half floats", kernel_.name,
                       name_of(op));
  switch (op) {
    case Op::add:
      return b_.CreateFAdd(a, b);
    case Op::sub:
      return b_.CreateFSub(a, b);
    case Op::mul:
      return b_.CreateFMul(a, b);
    case Op::div:
      return b_.CreateFDiv(a, b);
    case Op::mod:
      return float_mod(a, b);
    case Op::maximum:
      return float_extremum(true, a, b);
    case Op::minimum:
      return float_extremum(false, a, b);
    case Op::ldexp:
      return float_ldexp(a, b);
    default:
      PLAIT_UNREACHABLE("{} of floats", name_of(op));
  }
}

// One instruction with AArch64. x86 has `a < b ? a : b` as one: b if either is NaN or both are
// zeros. Both orders together know everything: they differ for NaNs alone, whose bits survive an
// `or`, and for zeros, whose `or` is the smaller and whose `and` the greater one.
llvm::Value* Emitter::float_extremum(bool greatest, llvm::Value* a, llvm::Value* b) {
  if (isa_.has_extrema)
    return b_.CreateBinaryIntrinsic(greatest ? llvm::Intrinsic::maximum : llvm::Intrinsic::minimum,
                                    a, b);
  auto pick = [&](llvm::Value* x, llvm::Value* y) {
    llvm::Value* first = greatest ? b_.CreateFCmpOGT(x, y) : b_.CreateFCmpOLT(x, y);
    return b_.CreateSelect(first, x, y);
  };
  if (uniform_constant(a)) std::swap(a, b);
  auto* constant = llvm::dyn_cast_or_null<llvm::ConstantFP>(uniform_constant(b));
  if (constant && !constant->isNaN()) {
    // A NaN can only come from `a`, and so can the zero that matters.
    llvm::Value* result = pick(b, a);
    if (!constant->isZero() || constant->isNegative() == greatest) return result;
    // The winning zero is the constant: -0 + 0 is 0, and -(0 - 0) is -0.
    if (greatest) return b_.CreateFAdd(result, b);
    return b_.CreateFNeg(b_.CreateFSub(zero_of(a), result));
  }
  llvm::Type* scalar = a->getType()->getScalarType();
  llvm::Type* integer = with_lanes_of(a, b_.getIntNTy(scalar->getScalarSizeInBits()));
  llvm::Value* x = b_.CreateBitCast(pick(a, b), integer);
  llvm::Value* y = b_.CreateBitCast(pick(b, a), integer);
  if (!greatest) return b_.CreateBitCast(b_.CreateOr(x, y), a->getType());
  llvm::Constant* nan = llvm::Constant::getAllOnesValue(integer);
  llvm::Value* result = b_.CreateSelect(b_.CreateFCmpUNO(a, b), nan, b_.CreateAnd(x, y));
  return b_.CreateBitCast(result, a->getType());
}

// `make` of each `lanes` neighbouring lanes of the vectors, joined.
llvm::Value* Emitter::by_pieces(
    unsigned lanes, llvm::ArrayRef<llvm::Value*> vectors,
    llvm::function_ref<llvm::Value*(llvm::ArrayRef<llvm::Value*>)> make) {
  const auto* type = llvm::cast<llvm::FixedVectorType>(vectors[0]->getType());
  if (type->getNumElements() == lanes) return make(vectors);
  llvm::SmallVector<llvm::Value*> results;
  for (unsigned first = 0; first < type->getNumElements(); first += lanes) {
    llvm::SmallVector<int> numbers(lanes);
    std::iota(numbers.begin(), numbers.end(), first);
    llvm::SmallVector<llvm::Value*> piece;
    for (llvm::Value* vector : vectors) piece.push_back(b_.CreateShuffleVector(vector, numbers));
    results.push_back(make(piece));
  }
  return llvm::concatenateVectors(b_, results);
}

// One instruction with AVX-512. Elsewhere the power is applied as two factors: the first product is
// exact, the second rounds.
llvm::Value* Emitter::float_ldexp(llvm::Value* a, llvm::Value* n) {
  const bool f64 = a->getType()->getScalarType()->isDoubleTy();
  auto* lanes = llvm::dyn_cast<llvm::FixedVectorType>(a->getType());
  const unsigned native = f64 ? 8 : 16;
  if (isa_.has_avx512 && lanes && lanes->getNumElements() % native == 0) {
    return by_pieces(native, {a, n}, [&](llvm::ArrayRef<llvm::Value*> piece) {
      constexpr int kCurrentRounding = 4;
      return b_.CreateIntrinsic(
          f64 ? llvm::Intrinsic::x86_avx512_mask_scalef_pd_512
              : llvm::Intrinsic::x86_avx512_mask_scalef_ps_512,
          {},
          {piece[0], piece[1], zero_of(piece[0]), b_.getIntN(native, (uint64_t{1} << native) - 1),
           b_.getInt32(kCurrentRounding)});
    });
  }
  const int bias = f64 ? 1023 : 127, mantissa = f64 ? 52 : 23;
  llvm::Type* integer = with_lanes_of(a, b_.getIntNTy(f64 ? 64 : 32));
  auto number = [&](int64_t value) { return llvm::ConstantInt::get(integer, value); };
  // 1.5 * 2^mantissa leaves a whole number in the low bits.
  const double magic = std::ldexp(1.5, mantissa) + 2 * bias;
  llvm::Value* biased =
      b_.CreateBitCast(b_.CreateFAdd(n, llvm::ConstantFP::get(n->getType(), magic)), integer);
  auto power = [&](llvm::Value* exponent) {
    return b_.CreateBitCast(b_.CreateShl(b_.CreateLShr(exponent, 1), mantissa), a->getType());
  };
  return b_.CreateFMul(b_.CreateFMul(a, power(biased)), power(b_.CreateAdd(biased, number(1))));
}

// fmod, moved to the sign of the divisor.
llvm::Value* Emitter::float_mod(llvm::Value* a, llvm::Value* b) {
  llvm::Constant* zero = zero_of(a);
  llvm::Value* remainder = b_.CreateFRem(a, b);
  llvm::Value* off = b_.CreateXor(b_.CreateFCmpOLT(remainder, zero), b_.CreateFCmpOLT(b, zero));
  llvm::Value* moved = b_.CreateSelect(off, b_.CreateFAdd(remainder, b), remainder);
  llvm::Value* signed_zero = b_.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, zero, b);
  return b_.CreateSelect(b_.CreateFCmpOEQ(remainder, zero), signed_zero, moved);
}

llvm::Value* Emitter::integer_binary(Op op, DType dtype, llvm::Value* a, llvm::Value* b) {
  bool sign = is_signed(dtype);
  auto extremum = [&](llvm::Intrinsic::ID with_sign, llvm::Intrinsic::ID without) {
    return b_.CreateBinaryIntrinsic(sign ? with_sign : without, a, b);
  };
  switch (op) {
    case Op::add:
      return b_.CreateAdd(a, b);
    case Op::sub:
      return b_.CreateSub(a, b);
    case Op::mul:
      return b_.CreateMul(a, b);
    case Op::div:
    case Op::mod:
      return integer_division(op, sign, a, b);
    case Op::maximum:
      return extremum(llvm::Intrinsic::smax, llvm::Intrinsic::umax);
    case Op::minimum:
      return extremum(llvm::Intrinsic::smin, llvm::Intrinsic::umin);
    case Op::mul_high: {
      unsigned width = a->getType()->getScalarSizeInBits();
      llvm::Type* wide = with_lanes_of(a, b_.getIntNTy(2 * width));
      llvm::Value* product = b_.CreateMul(b_.CreateZExt(a, wide), b_.CreateZExt(b, wide));
      return b_.CreateTrunc(b_.CreateLShr(product, width), a->getType());
    }
    case Op::bit_and:
      return b_.CreateAnd(a, b);
    case Op::bit_or:
      return b_.CreateOr(a, b);
    case Op::bit_xor:
      return b_.CreateXor(a, b);
    case Op::shift_left:
    case Op::shift_right:
      return shift(op, sign, a, b);
    default:
      PLAIT_UNREACHABLE("{} of integers", name_of(op));
  }
}

// Floor division and its remainder; 0 for a zero divisor. Never traps.
llvm::Value* Emitter::integer_division(Op op, bool sign, llvm::Value* a, llvm::Value* b) {
  llvm::Constant* zero = zero_of(a);
  auto* divisor = llvm::dyn_cast_or_null<llvm::ConstantInt>(uniform_constant(b));
  bool safe = divisor && !divisor->isZero() && !divisor->isMinusOne();
  llvm::Value* is_zero = b_.CreateICmpEQ(b, zero);
  if (!sign) {
    llvm::Value* by =
        safe ? b : b_.CreateSelect(is_zero, llvm::ConstantInt::get(a->getType(), 1), b);
    llvm::Value* result = op == Op::div ? b_.CreateUDiv(a, by) : b_.CreateURem(a, by);
    return safe ? result : b_.CreateSelect(is_zero, zero, result);
  }
  // The most negative number divided by -1 would trap: dividing by -1 is a negation that wraps.
  llvm::Value* is_minus_one = b_.CreateICmpEQ(b, llvm::Constant::getAllOnesValue(b->getType()));
  llvm::Value* special = b_.CreateOr(is_zero, is_minus_one);
  llvm::Value* by = safe ? b : b_.CreateSelect(special, llvm::ConstantInt::get(a->getType(), 1), b);
  llvm::Value* remainder = b_.CreateSRem(a, by);
  llvm::Value* off = b_.CreateAnd(b_.CreateICmpNE(remainder, zero),
                                  b_.CreateICmpSLT(b_.CreateXor(remainder, by), zero));
  if (op == Op::mod) {
    llvm::Value* result = b_.CreateSelect(off, b_.CreateAdd(remainder, by), remainder);
    return safe ? result : b_.CreateSelect(special, zero, result);
  }
  llvm::Value* quotient = b_.CreateAdd(b_.CreateSDiv(a, by), b_.CreateSExt(off, a->getType()));
  if (safe) return quotient;
  quotient = b_.CreateSelect(is_minus_one, b_.CreateNeg(a), quotient);
  return b_.CreateSelect(is_zero, zero, quotient);
}

llvm::Value* Emitter::shift(Op op, bool sign, llvm::Value* a, llvm::Value* amount) {
  llvm::Type* type = a->getType();
  unsigned width = type->getScalarSizeInBits();
  bool keeps_sign = op == Op::shift_right && sign;
  auto apply = [&](llvm::Value* by) {
    if (op == Op::shift_left) return b_.CreateShl(a, by);
    return keeps_sign ? b_.CreateAShr(a, by) : b_.CreateLShr(a, by);
  };
  auto* constant = llvm::dyn_cast_or_null<llvm::ConstantInt>(uniform_constant(amount));
  if (constant && constant->getValue().ult(width)) return apply(amount);
  llvm::Constant* last = llvm::ConstantInt::get(type, width - 1);
  llvm::Value* inside = b_.CreateICmpULE(amount, last);
  llvm::Value* clamped = b_.CreateSelect(inside, amount, last);
  return keeps_sign ? apply(clamped) : b_.CreateSelect(inside, apply(clamped), zero_of(a));
}

llvm::Value* Emitter::compare(Op op, DType dtype, llvm::Value* a, llvm::Value* b) {
  bool real = a->getType()->isFPOrFPVectorTy();
  bool sign = is_signed(dtype);
  switch (op) {
    case Op::eq:
      return real ? b_.CreateFCmpOEQ(a, b) : b_.CreateICmpEQ(a, b);
    case Op::ne:
      return real ? b_.CreateFCmpUNE(a, b) : b_.CreateICmpNE(a, b);
    case Op::lt:
      if (real) return b_.CreateFCmpOLT(a, b);
      return sign ? b_.CreateICmpSLT(a, b) : b_.CreateICmpULT(a, b);
    case Op::le:
      if (real) return b_.CreateFCmpOLE(a, b);
      return sign ? b_.CreateICmpSLE(a, b) : b_.CreateICmpULE(a, b);
    default:
      PLAIT_UNREACHABLE("{} is no comparison", name_of(op));
  }
}

// VDPBF16PS on whole vectors of 512 bits: it adds what belongs to upper halves first. Else two
// multiply-adds, which flush as all do below a flush.
llvm::Value* Emitter::pair_dot(llvm::Value* a, llvm::Value* b, llvm::Value* sum) {
  auto* lanes = llvm::dyn_cast<llvm::FixedVectorType>(sum->getType());
  if (isa_.has_avx512 && lanes && lanes->getNumElements() == 16) {
    auto* pairs = llvm::FixedVectorType::get(b_.getBFloatTy(), 32);
    return b_.CreateIntrinsic(llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512, {},
                              {sum, b_.CreateBitCast(a, pairs), b_.CreateBitCast(b, pairs)});
  }
  auto half = [&](llvm::Value* pair, bool upper) {
    llvm::Value* bits = upper ? b_.CreateAnd(pair, 0xffff0000) : b_.CreateShl(pair, 16);
    return bitcast(bits, b_.getFloatTy());
  };
  for (const bool upper : {true, false})
    sum = b_.CreateIntrinsic(llvm::Intrinsic::fma, {sum->getType()},
                             {half(a, upper), half(b, upper), sum});
  return sum;
}

}  // namespace plait::native

// Index expressions. Each part of an expression is computed in the outermost frame that knows its
// variables, and once in each frame.
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <bit>
#include <limits>

#include "jit/llvm/emitter.h"

namespace plait::native {

Expr Emitter::resolve(Expr e) const {
  if (renamed_.empty() || e.constant()) return e;
  return substitute(e, renamed_);
}

size_t Emitter::depth_of(Expr e) const {
  if (e.kind() == ExprKind::variable) {
    auto variable = variables_.find(e.id());
    PLAIT_INTERNAL_CHECK(variable != variables_.end(), "{}: unknown variable {}", kernel_.name,
                         to_string(e));
    return variable->second.frame;
  }
  size_t depth = 0;
  for (Expr operand : e.operands()) depth = std::max(depth, depth_of(operand));
  return depth;
}

bool Emitter::is_varying(Expr e) const {
  if (width_ == 0) return false;
  if (e.kind() == ExprKind::variable) {
    if (e.id() == lane_variable_) return true;
    auto variable = variables_.find(e.id());
    return variable != variables_.end() && is_vector(variable->second.parts[0]);
  }
  for (Expr operand : e.operands())
    if (is_varying(operand)) return true;
  return false;
}

size_t Emitter::innermost_loop() const {
  for (size_t i = frames_.size(); i-- > 0;)
    if (frames_[i].counter) return i;
  return 0;
}

namespace {

// Whether a term has a negative coefficient.
bool is_negative(Expr term) {
  Expr coefficient = term.kind() == ExprKind::mul ? term.operands()[0] : term;
  return coefficient.constant().value_or(0) < 0;
}

}  // namespace

llvm::Value* Emitter::scalar_index(Expr e) {
  if (auto constant = e.constant()) return b_.getInt64(*constant);
  size_t depth = depth_of(e);
  auto cached = frames_[depth].indices.find(e);
  if (cached != frames_[depth].indices.end()) return cached->second;
  llvm::Value* value = at_depth(depth, [&] { return build_index(e, depth); });
  frames_[depth].indices.emplace(e, value);
  return value;
}

llvm::Value* Emitter::build_index(Expr e, size_t depth) {
  switch (e.kind()) {
    case ExprKind::constant:
      return b_.getInt64(*e.constant());
    case ExprKind::symbol:
      for (size_t i = 0; i < kernel_.symbols.size(); ++i)
        if (kernel_.symbols[i] == e.name()) {
          llvm::Value* slot =
              b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), function_->getArg(1), i);
          return b_.CreateAlignedLoad(b_.getInt64Ty(), slot, llvm::Align(8), e.name());
        }
      PLAIT_UNREACHABLE("{}: symbol {} is not passed at launch", kernel_.name, e.name());
    case ExprKind::variable: {
      llvm::Value* value = variables_.at(e.id()).parts[0];
      PLAIT_INTERNAL_CHECK(!is_vector(value), "{}: lanes differ in {}", kernel_.name, to_string(e));
      return value;
    }
    case ExprKind::element:
      PLAIT_UNREACHABLE("{}: tensor element in a kernel index: {}", kernel_.name, to_string(e));
    case ExprKind::add:
      return build_sum(e, depth);
    case ExprKind::mul:
      return build_product(e, depth);
    case ExprKind::floor_div:
    case ExprKind::mod:
      return index_division(e, scalar_index(e.operands()[0]), scalar_index(e.operands()[1]));
    case ExprKind::min:
    case ExprKind::max: {
      auto id = e.kind() == ExprKind::min ? llvm::Intrinsic::smin : llvm::Intrinsic::smax;
      llvm::Value* result = nullptr;
      for (Expr operand : e.operands()) {
        llvm::Value* value = scalar_index(operand);
        result = result ? b_.CreateBinaryIntrinsic(id, result, value) : value;
      }
      return result;
    }
  }
  PLAIT_UNREACHABLE("expression kind {}", static_cast<int>(e.kind()));
}

llvm::Value* Emitter::build_sum(Expr e, size_t depth) {
  Expr outer = 0;
  std::vector<Expr> added, subtracted;
  for (Expr term : terms_of(e)) {
    if (depth_of(term) < depth)
      outer = outer + term;
    else if (is_negative(term))
      subtracted.push_back(-term);
    else
      added.push_back(term);
  }
  llvm::Value* total = outer.is_constant(0) ? nullptr : scalar_index(outer);
  for (Expr term : added) {
    llvm::Value* value = scalar_index(term);
    total = total ? b_.CreateNSWAdd(total, value) : value;
  }
  for (Expr term : subtracted) {
    llvm::Value* value = scalar_index(term);
    total = total ? b_.CreateNSWSub(total, value) : b_.CreateNSWNeg(value);
  }
  return total;
}

llvm::Value* Emitter::build_product(Expr e, size_t depth) {
  Expr outer = 1;
  std::vector<Expr> inner;
  for (Expr factor : e.operands()) {
    if (depth_of(factor) < depth || factor.constant())
      outer = outer * factor;
    else
      inner.push_back(factor);
  }
  Frame& frame = frames_[depth];
  // In the innermost loop a multiple of the counter is a second counter.
  if (is_negative(e)) return b_.CreateNSWNeg(scalar_index(-e));
  if (inner.size() == 1 && frame.counter && depth == innermost_loop() &&
      inner[0].kind() == ExprKind::variable && inner[0].id() == frame.variable)
    return induction(frame, outer);
  llvm::Value* result = nullptr;
  for (Expr factor : inner) {
    llvm::Value* value = scalar_index(factor);
    result = result ? b_.CreateNSWMul(result, value) : value;
  }
  if (!result) return scalar_index(outer);
  return outer.is_constant(1) ? result : b_.CreateNSWMul(result, scalar_index(outer));
}

llvm::Value* Emitter::induction(Frame& frame, Expr coefficient) {
  for (const Induction& known : frame.inductions)
    if (known.coefficient == coefficient) return known.phi;
  llvm::BasicBlock* header = frame.counter->getParent();
  llvm::Value* step = scalar_index(coefficient);
  llvm::Value* first = nullptr;
  {
    llvm::IRBuilderBase::InsertPointGuard guard(b_);
    b_.SetInsertPoint(frame.before);
    first = b_.CreateNSWMul(frame.first, step);
    b_.SetInsertPoint(header, header->begin());
    llvm::PHINode* phi = b_.CreatePHI(b_.getInt64Ty(), 2);
    phi->addIncoming(first, frame.before->getParent());
    frame.inductions.push_back({coefficient, phi, step});
  }
  return frame.inductions.back().phi;
}

namespace {

// The exponent of a constant power of two.
std::optional<unsigned> log2_of(Expr e) {
  auto constant = e.constant();
  if (!constant || *constant <= 0 || !std::has_single_bit(static_cast<uint64_t>(*constant)))
    return std::nullopt;
  return std::countr_zero(static_cast<uint64_t>(*constant));
}

}  // namespace

// e is a / b or a mod b, by the floor. Scalars or lanes.
llvm::Value* Emitter::index_division(Expr e, llvm::Value* a, llvm::Value* b) {
  bool is_div = e.kind() == ExprKind::floor_div;
  Expr dividend = e.operands()[0], divisor = e.operands()[1];
  llvm::Type* type = a->getType();
  if (auto shift = log2_of(divisor)) {
    if (is_div) return b_.CreateAShr(a, llvm::ConstantInt::get(type, *shift));
    return b_.CreateAnd(a, llvm::ConstantInt::get(type, *divisor.constant() - 1));
  }
  Interval range = bounds(dividend, ranges_), by = bounds(divisor, ranges_);
  bool positive = by.lo && *by.lo > 0;
  if (!positive && !divisor.constant()) {
    // Hoisted out of the condition that protects it, a division must not trap.
    llvm::Value* is_zero = b_.CreateICmpEQ(b, llvm::ConstantInt::get(type, 0));
    b = b_.CreateSelect(is_zero, llvm::ConstantInt::get(type, 1), b);
  }
  if (positive && range.lo && *range.lo >= 0) {
    constexpr int64_t kMax = std::numeric_limits<uint32_t>::max();
    bool narrow = !is_vector(a) && range.hi && *range.hi <= kMax && by.hi && *by.hi <= kMax;
    if (narrow) {
      a = b_.CreateTrunc(a, b_.getInt32Ty());
      b = b_.CreateTrunc(b, b_.getInt32Ty());
    }
    llvm::Value* result = is_div ? b_.CreateUDiv(a, b) : b_.CreateURem(a, b);
    return narrow ? b_.CreateZExt(result, type) : result;
  }
  llvm::Constant* zero = llvm::ConstantInt::get(type, 0);
  llvm::Value* remainder = b_.CreateSRem(a, b);
  llvm::Value* off = b_.CreateAnd(b_.CreateICmpNE(remainder, zero),
                                  b_.CreateICmpSLT(b_.CreateXor(remainder, b), zero));
  if (!is_div) return b_.CreateSelect(off, b_.CreateAdd(remainder, b), remainder);
  return b_.CreateAdd(b_.CreateSDiv(a, b), b_.CreateSExt(off, type));
}

// Every part of e stays within 32 bits.
bool Emitter::fits_i32(Expr e) const {
  Interval range = bounds(e, ranges_);
  if (!range.lo || !range.hi || *range.lo < std::numeric_limits<int32_t>::min() ||
      *range.hi > std::numeric_limits<int32_t>::max())
    return false;
  for (Expr operand : e.operands())
    if (!fits_i32(operand)) return false;
  return true;
}

llvm::Value* Emitter::lane_numbers(llvm::Type* lane) {
  std::vector<llvm::Constant*> numbers;
  unsigned first = chunk_ * width_;
  for (unsigned i = 0; i < width_; ++i) numbers.push_back(llvm::ConstantInt::get(lane, first + i));
  return llvm::ConstantVector::get(numbers);
}

llvm::Value* Emitter::lane_index(Expr e, llvm::Type* lane) {
  LaneKey key{e, chunk_, lane->getIntegerBitWidth()};
  auto cached = frames_.back().lane_indices.find(key);
  if (cached != frames_.back().lane_indices.end()) return cached->second;
  llvm::Value* value =
      is_varying(e) ? build_lane_index(e, lane) : splat(b_.CreateTrunc(scalar_index(e), lane));
  frames_.back().lane_indices.emplace(key, value);
  return value;
}

llvm::Value* Emitter::build_lane_index(Expr e, llvm::Type* lane) {
  auto combine = [&](auto&& operation) {
    llvm::Value* result = nullptr;
    for (Expr operand : e.operands()) {
      llvm::Value* value = lane_index(operand, lane);
      result = result ? operation(result, value) : value;
    }
    return result;
  };
  switch (e.kind()) {
    case ExprKind::variable: {
      if (e.id() == lane_variable_) return lane_numbers(lane);
      llvm::Value* value = part(variables_.at(e.id()).parts);
      return b_.CreateSExtOrTrunc(value, with_lanes_of(value, lane));
    }
    case ExprKind::add: {
      Expr uniform = 0;
      llvm::Value* result = nullptr;
      for (Expr term : terms_of(e)) {
        if (!is_varying(term)) {
          uniform = uniform + term;
          continue;
        }
        llvm::Value* value = lane_index(term, lane);
        result = result ? b_.CreateAdd(result, value) : value;
      }
      return uniform.is_constant(0) ? result : b_.CreateAdd(result, lane_index(uniform, lane));
    }
    case ExprKind::mul:
      return combine([&](llvm::Value* a, llvm::Value* b) { return b_.CreateMul(a, b); });
    case ExprKind::floor_div:
    case ExprKind::mod:
      return index_division(e, lane_index(e.operands()[0], lane),
                            lane_index(e.operands()[1], lane));
    case ExprKind::min:
      return combine([&](llvm::Value* a, llvm::Value* b) {
        return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, a, b);
      });
    case ExprKind::max:
      return combine([&](llvm::Value* a, llvm::Value* b) {
        return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, a, b);
      });
    case ExprKind::constant:
    case ExprKind::symbol:
    case ExprKind::element:
      break;
  }
  PLAIT_UNREACHABLE("{} does not differ between lanes", to_string(e));
}

// The i64 value of an index expression.
llvm::Value* Emitter::index_value(Expr e) {
  if (!is_varying(e)) return scalar_index(e);
  if (!fits_i32(e)) return lane_index(e, b_.getInt64Ty());
  llvm::Value* narrow = lane_index(e, b_.getInt32Ty());
  return b_.CreateSExt(narrow, with_lanes_of(narrow, b_.getInt64Ty()));
}

llvm::Value* Emitter::compare_indices(Op op, Expr a, Expr b) {
  bool varying = is_varying(a) || is_varying(b);
  if (varying)
    if (llvm::Value* lanes = compare_lanes(op, a, b)) return lanes;
  llvm::Value *x = nullptr, *y = nullptr;
  if (varying) {
    llvm::Type* lane = fits_i32(a) && fits_i32(b) ? b_.getInt32Ty() : b_.getInt64Ty();
    x = lane_index(a, lane);
    y = lane_index(b, lane);
  } else {
    x = scalar_index(a);
    y = scalar_index(b);
  }
  return compare(op, DType::i64, x, y);
}

// Where a - b is `rest` plus or minus the lane number: the lane number against one clamped scalar.
// Null if it is not.
llvm::Value* Emitter::compare_lanes(Op op, Expr a, Expr b) {
  auto linear = linear_in(a - b, lane_variable_);
  if (!linear || is_varying(linear->rest)) return nullptr;
  bool falling = linear->coefficient.is_constant(-1);
  if (!falling && !linear->coefficient.is_constant(1)) return nullptr;
  // The bound at which a - b = 0; one further for `rest + lane <= 0` and `rest - lane < 0`, so that
  // the lane test is `lane < bound` or its contrary.
  bool ordered = op == Op::lt || op == Op::le;
  Expr zero = falling ? linear->rest : -linear->rest;
  if (ordered && falling == (op == Op::lt)) zero = zero + 1;
  Expr clamped =
      min(max(zero, Expr(ordered ? 0 : -1)), Expr(static_cast<int64_t>(width_ * chunks_)));
  llvm::Value* bound = lane_index(clamped, b_.getInt32Ty());
  llvm::Value* lanes = lane_numbers(b_.getInt32Ty());
  switch (op) {
    case Op::eq:
      return b_.CreateICmpEQ(lanes, bound);
    case Op::ne:
      return b_.CreateICmpNE(lanes, bound);
    default:
      return falling ? b_.CreateICmpSGE(lanes, bound) : b_.CreateICmpSLT(lanes, bound);
  }
}

}  // namespace plait::native

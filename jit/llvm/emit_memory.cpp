// Loads and stores of buffers in memory.
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <numeric>

#include "jit/llvm/emitter.h"

namespace plait::native {
namespace {

constexpr int64_t kCacheLine = 64;

}  // namespace

llvm::Value* Emitter::buffer_base(BufferId id) {
  const Buffer& buffer = kernel_.buffers[id];
  if (buffer.scope == BufferScope::local)
    return b_.CreateInBoundsGEP(b_.getInt8Ty(), function_->getArg(4),
                                scalar_index(local_offset(kernel_, id)), buffer.name);
  llvm::Value* slot = b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), function_->getArg(0), id);
  return b_.CreateAlignedLoad(b_.getPtrTy(), slot, llvm::Align(8), buffer.name);
}

// The constant part comes last: it becomes the displacement of the access.
llvm::Value* Emitter::pointer(BufferId buffer, Expr offset) {
  int64_t displacement = 0;
  for (Expr term : terms_of(offset))
    if (auto constant = term.constant()) displacement += *constant;
  llvm::Value* base = pointer_to_terms(buffer, offset - displacement);
  if (displacement == 0) return base;
  return b_.CreateConstInBoundsGEP1_64(memory_type(kernel_.buffers[buffer].dtype), base,
                                       displacement);
}

// Only the constant part may leave the buffer.
void Emitter::prefetch(BufferId buffer, Expr offset) {
  const kernel::Access access = kernel_.buffers[buffer].access;
  if (access == kernel::Access::stream) return;
  int64_t displacement = 0;
  for (Expr term : terms_of(offset)) displacement += term.constant().value_or(0);
  llvm::Value* line =
      b_.CreateConstGEP1_64(memory_type(kernel_.buffers[buffer].dtype),
                            pointer_to_terms(buffer, offset - displacement), displacement);
  constexpr int kKeep = 3, kData = 1;
  // Without an instruction for it (x86-64-v4 has none), what will be written is fetched as if read.
  const int for_writing = access == kernel::Access::read ? 0 : 1;
  b_.CreateIntrinsic(llvm::Intrinsic::prefetch, {line->getType()},
                     {line, b_.getInt32(for_writing), b_.getInt32(kKeep), b_.getInt32(kData)});
}

llvm::Value* Emitter::pointer_to_terms(BufferId buffer, Expr offset) {
  size_t depth = depth_of(offset);
  PointerKey key{buffer, offset};
  auto cached = frames_[depth].pointers.find(key);
  if (cached != frames_[depth].pointers.end()) return cached->second;
  llvm::Value* result = at_depth(depth, [&]() -> llvm::Value* {
    if (offset.is_constant(0)) return buffer_base(buffer);
    Expr outer = 0, inner = 0;
    for (Expr term : terms_of(offset)) {
      if (depth_of(term) < depth)
        outer = outer + term;
      else
        inner = inner + term;
    }
    return b_.CreateInBoundsGEP(memory_type(kernel_.buffers[buffer].dtype),
                                pointer_to_terms(buffer, outer), scalar_index(inner));
  });
  frames_[depth].pointers.emplace(key, result);
  return result;
}

// The constant distance in elements between neighbouring lanes, if there is one.
std::optional<int64_t> Emitter::lane_stride(Expr offset) const {
  auto linear = linear_in(offset, lane_variable_);
  if (!linear || is_varying(linear->rest)) return std::nullopt;
  return linear->coefficient.constant();
}

Emitter::Terms Emitter::split_by_lanes(Expr offset) const {
  Terms result;
  for (Expr term : terms_of(offset)) {
    Expr& terms = is_varying(term) ? result.varying : result.uniform;
    terms = terms + term;
  }
  return result;
}

llvm::Value* Emitter::lane_pointers(BufferId buffer, Expr offset) {
  const auto [uniform, varying] = split_by_lanes(offset);
  llvm::Type* lane = fits_i32(varying) ? b_.getInt32Ty() : b_.getInt64Ty();
  return b_.CreateInBoundsGEP(memory_type(kernel_.buffers[buffer].dtype), pointer(buffer, uniform),
                              lane_index(varying, lane));
}

llvm::Value* Emitter::reverse(llvm::Value* value) {
  std::vector<int> order(width_);
  for (unsigned i = 0; i < width_; ++i) order[i] = static_cast<int>(width_ - 1 - i);
  return b_.CreateShuffleVector(value, order);
}

llvm::Value* Emitter::load(BufferId id, Expr offset) {
  const Buffer& buffer = kernel_.buffers[id];
  if (buffer.scope == BufferScope::registers) return load_registers(id, offset);
  llvm::Value* value = is_varying(offset)
                           ? load_lanes(id, offset)
                           : b_.CreateAlignedLoad(memory_type(buffer.dtype), pointer(id, offset),
                                                  llvm::Align(dtype_size(buffer.dtype)));
  if (buffer.dtype != DType::boolean) return value;
  return b_.CreateICmpNE(value, llvm::Constant::getNullValue(value->getType()));
}

// Of the first lane of the chunk, or of the last when addresses fall.
Expr Emitter::lowest_address(Expr offset, bool falling) const {
  int64_t first = chunk_ * width_, last = first + width_ - 1;
  Expr rest = linear_in(offset, lane_variable_)->rest;
  return falling ? rest - last : rest + first;
}

llvm::Value* Emitter::load_lanes(BufferId id, Expr offset) {
  DType dtype = kernel_.buffers[id].dtype;
  auto* type = llvm::FixedVectorType::get(memory_type(dtype), width_);
  llvm::Align align(dtype_size(dtype));
  auto stride = lane_stride(offset);
  bool falling = stride == -1;
  if (stride != 1 && !falling) {
    if (isa_.has_avx512 && dtype_size(dtype) < 4) return gather_from_words(id, offset);
    return b_.CreateMaskedGather(type, lane_pointers(id, offset), align, mask());
  }
  llvm::Value* at = pointer(id, lowest_address(offset, falling));
  llvm::Value* value = nullptr;
  if (!mask())
    value = b_.CreateAlignedLoad(type, at, align);
  else
    value = b_.CreateMaskedLoad(type, at, align, falling ? reverse(mask()) : mask());
  return falling ? reverse(value) : value;
}

// Gathers of bytes and halves are a branch a lane; of the aligned words that hold them they are
// instructions. Such a word lies on a page of its element.
llvm::Value* Emitter::gather_from_words(BufferId id, Expr offset) {
  const DType dtype = kernel_.buffers[id].dtype;
  const auto [uniform, varying] = split_by_lanes(offset);
  // In bytes, and up to 3 more.
  llvm::Type* lane = fits_i32(4 * varying) ? b_.getInt32Ty() : b_.getInt64Ty();
  llvm::Value* start = pointer(id, uniform);
  llvm::Value* words =
      b_.CreateIntrinsic(llvm::Intrinsic::ptrmask, {start->getType(), b_.getInt64Ty()},
                         {start, b_.getInt64(~uint64_t{3})});
  llvm::Value* skipped =
      b_.CreateAnd(b_.CreatePtrToInt(start, lane), llvm::ConstantInt::get(lane, 3));
  llvm::Value* bytes = lane_index(static_cast<int64_t>(dtype_size(dtype)) * varying, lane);
  bytes = b_.CreateAdd(bytes, b_.CreateVectorSplat(width_, skipped));
  llvm::Value* pointers = b_.CreateGEP(b_.getInt32Ty(), words, b_.CreateAShr(bytes, 2));
  auto* type = llvm::FixedVectorType::get(b_.getInt32Ty(), width_);
  llvm::Value* word = b_.CreateMaskedGather(type, pointers, llvm::Align(4), mask());
  llvm::Value* shift = b_.CreateShl(b_.CreateAnd(b_.CreateZExtOrTrunc(bytes, type), 3), 3);
  return b_.CreateTrunc(b_.CreateLShr(word, shift),
                        llvm::FixedVectorType::get(memory_type(dtype), width_));
}

void Emitter::store(BufferId id, Expr offset, const Parts& value) {
  const Buffer& buffer = kernel_.buffers[id];
  bool in_registers = buffer.scope == BufferScope::registers;
  auto stored = [&](llvm::Value* v) {
    bool widen = buffer.dtype == DType::boolean && !in_registers;
    return widen ? b_.CreateZExt(v, with_lanes_of(v, b_.getInt8Ty())) : v;
  };
  if (is_varying(offset)) {
    for (chunk_ = 0; chunk_ < chunks_; ++chunk_) {
      llvm::Value* lanes = as_vector(stored(part(value)));
      if (in_registers)
        store_registers(id, offset, lanes);
      else
        store_lanes(id, offset, lanes);
    }
    chunk_ = 0;
    return;
  }
  // All lanes write the same element: the last one that runs stays.
  llvm::Value* scalar = stored(is_vector(value[0]) ? last_active_lane(value) : value[0]);
  if (in_registers)
    store_registers(id, offset, scalar);
  else
    b_.CreateAlignedStore(scalar, pointer(id, offset), llvm::Align(dtype_size(buffer.dtype)));
}

// Whole cache lines of a stream.
bool Emitter::passes_caches(BufferId id, Expr offset) const {
  const Buffer& buffer = kernel_.buffers[id];
  const auto size = static_cast<int64_t>(dtype_size(buffer.dtype));
  return buffer.scope == BufferScope::parameter && buffer.access == kernel::Access::stream &&
         width_ * size % kCacheLine == 0 &&
         is_multiple_of(lowest_address(offset, false), kCacheLine / size);
}

void Emitter::store_lanes(BufferId id, Expr offset, llvm::Value* value) {
  llvm::Align align(dtype_size(kernel_.buffers[id].dtype));
  auto stride = lane_stride(offset);
  bool falling = stride == -1;
  if (stride != 1 && !falling) {
    b_.CreateMaskedScatter(value, lane_pointers(id, offset), align, mask());
    return;
  }
  if (falling) value = reverse(value);
  llvm::Value* at = pointer(id, lowest_address(offset, falling));
  if (!mask() && stride == 1 && passes_caches(id, offset)) {
    llvm::StoreInst* store = b_.CreateAlignedStore(value, at, llvm::Align(kCacheLine));
    llvm::Metadata* one = llvm::ConstantAsMetadata::get(b_.getInt32(1));
    store->setMetadata(llvm::LLVMContext::MD_nontemporal,
                       llvm::MDNode::get(module_.getContext(), one));
    has_streamed_ = true;
  } else if (!mask())
    b_.CreateAlignedStore(value, at, align);
  else
    b_.CreateMaskedStore(value, at, align, falling ? reverse(mask()) : mask());
}

// The element of the last lane that runs; there is one.
llvm::Value* Emitter::last_active_lane(const Parts& lanes) {
  if (masks_.empty()) return b_.CreateExtractElement(lanes.back(), uint64_t{width_ - 1});
  llvm::Value* last = nullptr;
  for (unsigned i = 0; i < chunks_; ++i) {
    llvm::Value* set = b_.CreateBitCast(masks_[i], b_.getIntNTy(width_));
    llvm::Value* wide = b_.CreateZExt(set, b_.getInt64Ty());
    llvm::Value* zeros = b_.CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, wide, b_.getFalse());
    llvm::Value* lane = b_.CreateAnd(b_.CreateSub(b_.getInt64(63), zeros), b_.getInt64(63));
    // Of a chunk without active lanes the number is past its end: kept inside, and not chosen.
    lane = b_.CreateBinaryIntrinsic(llvm::Intrinsic::umin, lane, b_.getInt64(width_ - 1));
    llvm::Value* element = b_.CreateExtractElement(lanes[i], lane);
    llvm::Value* any = b_.CreateICmpNE(wide, b_.getInt64(0));
    last = last ? b_.CreateSelect(any, element, last) : element;
  }
  return last;
}

}  // namespace plait::native

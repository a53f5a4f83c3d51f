// Matrix registers: AMX, whose eight tiles the kernel names itself.
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <numeric>

#include "jit/llvm/emit.h"
#include "jit/llvm/emitter.h"

namespace plait::native {
namespace {

constexpr int64_t kMostTiles = 8;

}  // namespace

// Room on the stack, made once a call.
llvm::Value* Emitter::entry_slot(int64_t bytes) {
  llvm::IRBuilderBase::InsertPointGuard guard(b_);
  llvm::BasicBlock& entry = function_->getEntryBlock();
  b_.SetInsertPoint(&entry, entry.begin());
  llvm::AllocaInst* slot = b_.CreateAlloca(llvm::ArrayType::get(b_.getInt8Ty(), bytes));
  slot->setAlignment(llvm::Align(64));
  return slot;
}

// All tiles have all rows and bytes. The bytes of a configuration (Intel SDM, LDTILECFG): 0 the
// palette, 16 + 2i the bytes of a row, 48 + i the rows of tile i.
void Emitter::configure_tiles() {
  std::array<uint8_t, 64> bytes{};
  bytes[0] = 1;
  for (int64_t i = 0; i < kMostTiles; ++i) {
    bytes[16 + 2 * i] = kernel::kTileRowBytes;
    bytes[48 + i] = kernel::kTileRows;
  }
  llvm::Value* slot = entry_slot(64);
  b_.CreateAlignedStore(llvm::ConstantDataArray::get(module_.getContext(), bytes), slot,
                        llvm::Align(64));
  b_.CreateIntrinsic(llvm::Intrinsic::x86_ldtilecfg, {}, {slot});
}

llvm::Value* Emitter::tile_number(const kernel::Place& place) {
  int64_t element = *resolve(place.at).constant();
  for (BufferId id = 0; id < place.buffer; ++id) {
    const Buffer& buffer = kernel_.buffers[id];
    if (buffer.scope == BufferScope::tiles) element += *buffer.size.constant();
  }
  const int64_t number = element / kernel::kTileElements;
  PLAIT_INTERNAL_CHECK(number < kMostTiles, "{}: more than {} tiles", kernel_.name, kMostTiles);
  return b_.getInt8(static_cast<uint8_t>(number));
}

void Emitter::emit_tile(const Instruction& in) {
  PLAIT_INTERNAL_CHECK(isa_.is_x86, "{}: {} has no matrix registers", kernel_.name, isa_.cpu);
  auto step = [&](const kernel::Place& memory) {
    const auto size = static_cast<int64_t>(dtype_size(kernel_.buffers[memory.buffer].dtype));
    return scalar_index(resolve(in.pitch * size));
  };
  auto address = [&](const kernel::Place& memory) {
    return pointer(memory.buffer, resolve(memory.at));
  };
  const std::vector<kernel::Place>& at = in.places;
  if (in.op == Op::tile_zero)
    b_.CreateIntrinsic(llvm::Intrinsic::x86_tilezero, {}, {tile_number(at[0])});
  if (in.op == Op::tile_load) load_tile(in, address(at[1]), step(at[1]));
  if (in.op == Op::tile_store)
    b_.CreateIntrinsic(llvm::Intrinsic::x86_tilestored64, {},
                       {tile_number(at[1]), address(at[0]), step(at[0])});
  if (in.op == Op::tile_dot)
    b_.CreateIntrinsic(llvm::Intrinsic::x86_tdpbf16ps, {},
                       {tile_number(at[0]), tile_number(at[1]), tile_number(at[2])});
}

// A whole tile comes from where it lies; what is less is copied with zeros around it.
void Emitter::load_tile(const Instruction& in, llvm::Value* from, llvm::Value* step) {
  auto load = [&](llvm::Value* first, llvm::Value* distance) {
    b_.CreateIntrinsic(llvm::Intrinsic::x86_tileloadd64, {},
                       {tile_number(in.places[0]), first, distance});
  };
  const auto size = static_cast<int64_t>(dtype_size(kernel_.buffers[in.places[1].buffer].dtype));
  const int64_t most_columns = kernel::kTileRowBytes / size;
  const Expr rows = resolve(in.rows), columns = resolve(in.columns);
  if (rows.is_constant(kernel::kTileRows) && columns.is_constant(most_columns)) {
    return load(from, step);
  }
  llvm::Value* whole =
      b_.CreateAnd(b_.CreateICmpEQ(scalar_index(rows), b_.getInt64(kernel::kTileRows)),
                   b_.CreateICmpEQ(scalar_index(columns), b_.getInt64(most_columns)));
  llvm::BasicBlock *direct = new_block("tile"), *copied = new_block("part_of_tile"),
                   *after = new_block("after");
  b_.CreateCondBr(whole, direct, copied);
  b_.SetInsertPoint(direct);
  load(from, step);
  b_.CreateBr(after);
  b_.SetInsertPoint(copied);
  llvm::Value* copy = copy_rows(in, from, step);
  load(copy, b_.getInt64(kernel::kTileRowBytes));
  b_.CreateBr(after);
  b_.SetInsertPoint(after);
}

// The rows and columns of `in` at the start of a tile of zeros on the stack.
llvm::Value* Emitter::copy_rows(const Instruction& in, llvm::Value* from, llvm::Value* step) {
  llvm::Type* element = memory_type(kernel_.buffers[in.places[1].buffer].dtype);
  const unsigned lanes =
      kernel::kTileRowBytes * 8 / static_cast<unsigned>(element->getPrimitiveSizeInBits());
  auto* vector = llvm::FixedVectorType::get(element, lanes);
  llvm::Value* zeros = llvm::Constant::getNullValue(vector);
  llvm::Value* slot = entry_slot(kernel::kTileRows * kernel::kTileRowBytes);
  std::vector<llvm::Constant*> numbers;
  for (unsigned lane = 0; lane < lanes; ++lane) numbers.push_back(b_.getInt16(lane));
  llvm::Value* columns = b_.CreateTrunc(scalar_index(resolve(in.columns)), b_.getInt16Ty());
  llvm::Value* inside =
      b_.CreateICmpULT(llvm::ConstantVector::get(numbers), b_.CreateVectorSplat(lanes, columns));
  llvm::Value* rows = scalar_index(resolve(in.rows));
  for (int64_t row = 0; row < kernel::kTileRows; ++row) {
    // No lane of a row past the last is read.
    llvm::Value* exists = b_.CreateICmpSLT(b_.getInt64(row), rows);
    llvm::Value* mask = b_.CreateAnd(inside, b_.CreateVectorSplat(lanes, exists));
    llvm::Value* source = b_.CreateGEP(b_.getInt8Ty(), from, b_.CreateMul(step, b_.getInt64(row)));
    llvm::Value* bits = b_.CreateMaskedLoad(
        vector, source, llvm::Align(element->getPrimitiveSizeInBits() / 8), mask, zeros);
    b_.CreateAlignedStore(bits,
                          b_.CreateConstGEP1_64(b_.getInt8Ty(), slot, row * kernel::kTileRowBytes),
                          llvm::Align(64));
  }
  return slot;
}

}  // namespace plait::native

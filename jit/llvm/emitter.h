// Turns one phase of a kernel into one LLVM function. Internal to jit/llvm.
//
// The function is direct SSA: vector loops become explicit vectors, register buffers become values
// with phis, index expressions are computed in the outermost loop that knows their variables. No IR
// pass runs afterwards, so what is written here is what the code generator sees.
#pragma once

#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <array>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "jit/kernel/kir.h"
#include "jit/llvm/codegen.h"

namespace plait::native {

using kernel::Block;
using kernel::Buffer;
using kernel::BufferId;
using kernel::BufferScope;
using kernel::Instruction;
using kernel::Kernel;
using kernel::Op;

// SIMD values of the chunks of a vector loop, or one scalar.
using Parts = llvm::SmallVector<llvm::Value*, 4>;

// The width in which LLVM can hold `lanes`: the same, or a smaller one that divides them where it
// would widen them to the next power of two.
unsigned chunk_width(unsigned lanes);

// A kernel value: a scalar, or lanes for the iterations of the vector loop around it. Uniform
// values stay scalars until they meet a vector. i64 values that are index expressions stay
// expressions until something needs their bits.
struct Value {
  Parts parts;
  std::optional<Expr> index;
};

class Emitter {
 public:
  Emitter(const Kernel& kernel, llvm::Module& module, const Isa& isa);
  void emit_phase(size_t phase);

 private:
  // A stretch of code with one entry: the function, a loop body or a branch. Values cached in a
  // frame dominate what is still to be written into it.
  struct Induction {
    Expr coefficient;
    llvm::PHINode* phi;
    llvm::Value* step;
  };
  struct PointerKey {
    BufferId buffer;
    Expr offset;
    bool operator==(const PointerKey&) const = default;
  };
  struct PointerKeyHash {
    size_t operator()(const PointerKey& key) const { return key.offset.hash() * 31 + key.buffer; }
  };
  struct LaneKey {
    Expr index;
    unsigned chunk;
    unsigned bits;
    bool operator==(const LaneKey&) const = default;
  };
  struct LaneKeyHash {
    size_t operator()(const LaneKey& key) const {
      return (key.index.hash() * 31 + key.chunk) * 31 + key.bits;
    }
  };
  struct Frame {
    llvm::Instruction* before = nullptr;  // the terminator that enters the frame
    llvm::PHINode* counter = nullptr;     // of a loop
    llvm::Value* first = nullptr;         // the counter's first value
    uint32_t variable = 0;
    std::unordered_map<Expr, llvm::Value*> indices;
    std::unordered_map<LaneKey, llvm::Value*, LaneKeyHash> lane_indices;  // of the vector loop
    std::unordered_map<PointerKey, llvm::Value*, PointerKeyHash> pointers;
    std::unordered_map<llvm::Value*, llvm::Value*> splats;  // of the vector loop
    std::vector<Induction> inductions;
  };
  struct Variable {
    Parts parts;   // i64, or vectors of i32 or i64
    size_t frame;  // where it is known
  };
  // Values of the register buffers that a block stores to, to be merged where control flow joins.
  using Rows = std::vector<std::pair<BufferId, std::vector<llvm::Value*>>>;

  // emit.cpp: instructions and values.
  void emit_block(const Block& block);
  void emit_instruction(const Instruction& instruction);
  llvm::Value* emit_comparison(const Instruction& instruction);
  llvm::Value* emit_cast(const Instruction& instruction);
  void remove_dead_phis(llvm::Function& function);
  llvm::Type* value_type(DType dtype);
  llvm::Type* memory_type(DType dtype);
  llvm::Constant* constant(const Scalar& scalar);
  llvm::Value* bits(kernel::ValueId value);
  // Sets the result to make() of each chunk; of the first alone if that is a scalar.
  template <class F>
  void set(const Instruction& instruction, F&& make) {
    values_[instruction.result] = Value{for_chunks(make), std::nullopt};
  }
  template <class F>
  Parts for_chunks(F&& make) {
    Parts parts;
    for (chunk_ = 0; chunk_ < chunks_; ++chunk_) {
      parts.push_back(make());
      if (!is_vector(parts.back())) break;
    }
    chunk_ = 0;
    return parts;
  }
  llvm::Value* part(const Parts& parts) const { return parts[parts.size() == 1 ? 0 : chunk_]; }
  llvm::Value* mask() const { return masks_.empty() ? nullptr : masks_[chunk_]; }
  llvm::Value* splat(llvm::Value* scalar);
  llvm::Value* as_vector(llvm::Value* value) { return is_vector(value) ? value : splat(value); }
  void unify(std::initializer_list<llvm::Value**> values);
  static bool is_vector(llvm::Value* value) { return value->getType()->isVectorTy(); }
  // `type` with as many lanes as `like` has.
  static llvm::Type* with_lanes_of(llvm::Value* like, llvm::Type* type);

  // emit_index.cpp: index expressions.
  Expr resolve(Expr e) const;
  size_t depth_of(Expr e) const;
  bool is_varying(Expr e) const;
  // Runs `make` with the insertion point where frame `depth` leads into the next one.
  template <class F>
  llvm::Value* at_depth(size_t depth, F&& make) {
    if (depth + 1 >= frames_.size()) return make();
    llvm::IRBuilderBase::InsertPointGuard guard(b_);
    b_.SetInsertPoint(frames_[depth + 1].before);
    return make();
  }
  llvm::Value* scalar_index(Expr e);
  llvm::Value* build_index(Expr e, size_t depth);
  llvm::Value* build_sum(Expr e, size_t depth);
  llvm::Value* build_product(Expr e, size_t depth);
  llvm::Value* induction(Frame& frame, Expr coefficient);
  bool fits_i32(Expr e) const;
  llvm::Value* lane_index(Expr e, llvm::Type* lane);
  llvm::Value* build_lane_index(Expr e, llvm::Type* lane);
  llvm::Value* index_division(Expr e, llvm::Value* a, llvm::Value* b);
  llvm::Value* lane_numbers(llvm::Type* lane);
  llvm::Value* index_value(Expr e);
  llvm::Value* compare_indices(Op op, Expr a, Expr b);
  llvm::Value* compare_lanes(Op op, Expr a, Expr b);
  size_t innermost_loop() const;

  // emit_arithmetic.cpp
  llvm::Value* unary(Op op, DType dtype, llvm::Value* a);
  llvm::Value* binary(Op op, DType dtype, llvm::Value* a, llvm::Value* b);
  llvm::Value* float_binary(Op op, llvm::Value* a, llvm::Value* b);
  llvm::Value* integer_binary(Op op, DType dtype, llvm::Value* a, llvm::Value* b);
  llvm::Value* float_extremum(bool greatest, llvm::Value* a, llvm::Value* b);
  llvm::Value* float_ldexp(llvm::Value* a, llvm::Value* n);
  llvm::Value* by_pieces(unsigned lanes, llvm::ArrayRef<llvm::Value*> vectors,
                         llvm::function_ref<llvm::Value*(llvm::ArrayRef<llvm::Value*>)> make);
  llvm::Value* float_mod(llvm::Value* a, llvm::Value* b);
  llvm::Value* integer_division(Op op, bool is_signed, llvm::Value* a, llvm::Value* b);
  llvm::Value* shift(Op op, bool is_signed, llvm::Value* a, llvm::Value* b);
  llvm::Value* compare(Op op, DType dtype, llvm::Value* a, llvm::Value* b);

  // emit_random.cpp
  llvm::Value* random(const Instruction& in);
  llvm::Value* random_of_neighbours(const Instruction& in, Expr first);
  std::array<llvm::Value*, 4> philox(llvm::Value* block, const Instruction& in);
  llvm::Value* round_key(llvm::Value* seed, int word, int round);

  // emit_cast.cpp
  llvm::Value* cast(DType from, DType to, llvm::Value* a);
  llvm::Value* float_to_integer(DType to, llvm::Value* a);
  llvm::Value* integer_to_float(DType from, DType to, llvm::Value* a);
  llvm::Value* widen_half(DType from, llvm::Value* a);
  llvm::Value* narrow_to_half(DType to, llvm::Value* a);
  llvm::Value* narrow_to_f16(llvm::Value* a);
  llvm::Value* narrow_to_bf16(llvm::Value* a);
  llvm::Value* pair_dot(llvm::Value* a, llvm::Value* b, llvm::Value* sum);
  llvm::Value* round_to_odd_f32(llvm::Value* a);
  llvm::Value* bitcast(llvm::Value* a, llvm::Type* scalar);

  // emit_memory.cpp: buffers in memory.
  llvm::Value* buffer_base(BufferId buffer);
  llvm::Value* pointer(BufferId buffer, Expr offset);
  llvm::Value* pointer_to_terms(BufferId buffer, Expr offset);
  struct Terms {
    Expr uniform, varying;
  };
  Terms split_by_lanes(Expr offset) const;
  llvm::Value* lane_pointers(BufferId buffer, Expr offset);
  std::optional<int64_t> lane_stride(Expr offset) const;
  llvm::Value* load(BufferId buffer, Expr offset);
  void store(BufferId buffer, Expr offset, const Parts& value);
  llvm::Value* load_lanes(BufferId buffer, Expr offset);
  llvm::Value* gather_from_words(BufferId buffer, Expr offset);
  void store_lanes(BufferId buffer, Expr offset, llvm::Value* value);
  bool passes_caches(BufferId buffer, Expr offset) const;
  llvm::Value* last_active_lane(const Parts& lanes);
  Expr lowest_address(Expr offset, bool falling) const;
  llvm::Value* reverse(llvm::Value* value);

  // emit_registers.cpp: buffers in registers.
  void reset_registers();
  int64_t row_lanes(BufferId buffer) const { return chunk_width(kernel_.buffers[buffer].lanes); }
  llvm::Value* load_registers(BufferId buffer, Expr offset);
  void store_registers(BufferId buffer, Expr offset, llvm::Value* value);
  int64_t register_offset(Expr offset) const;
  llvm::Value* register_slice(BufferId buffer, int64_t first, int64_t count);
  void set_register_slice(BufferId buffer, int64_t first, llvm::Value* value);
  void prefetch(BufferId buffer, Expr offset);
  void transpose(BufferId buffer);
  llvm::Value* concatenate(std::vector<llvm::Value*> parts);
  Rows stored_registers(const Block& body) const;
  void put_rows(const Rows& rows);
  Rows current_rows(const Rows& like) const;
  Rows merge_rows(const Rows& a, llvm::BasicBlock* from_a, const Rows& b, llvm::BasicBlock* from_b);

  // emit_tiles.cpp: matrix registers.
  void emit_tile(const Instruction& instruction);
  llvm::Value* tile_number(const kernel::Place& place);
  void load_tile(const Instruction& load, llvm::Value* from, llvm::Value* step);
  llvm::Value* copy_rows(const Instruction& load, llvm::Value* from, llvm::Value* step);
  llvm::Value* entry_slot(int64_t bytes);
  void configure_tiles();

  // emit_control.cpp
  void emit_loop(const Instruction& loop);
  void emit_vector_loop(const Instruction& loop, int64_t extent);
  void emit_counted_loop(uint32_t variable, Expr extent, llvm::Value* begin, llvm::Value* end,
                         bool may_be_empty, const std::function<void()>& body, const Rows& carried);
  void close_loop(Frame& frame, llvm::Value* end, llvm::BasicBlock* latch, llvm::BasicBlock* header,
                  llvm::BasicBlock* after);
  void emit_when(const Instruction& when);
  void emit_flush(const Instruction& flush);
  void emit_branch(llvm::Value* condition, const Block& body);
  void emit_masked(const Parts& conditions, const Block& body);
  void emit_versions(const Block& body);
  void emit_active(const Block& body);
  bool has_access(const Block& body) const;
  llvm::Value* any_active();
  llvm::Value* all_active();
  void emit_bind(const Instruction& bind);
  void emit_report(const Instruction& report);
  void emit_record(const Instruction& report, llvm::Value* lanes);
  bool needs_active_lane(const Block& body) const;
  llvm::BasicBlock* new_block(const char* name);

  const Kernel& kernel_;
  llvm::Module& module_;
  llvm::IRBuilder<> b_;
  const Isa& isa_;
  llvm::Function* function_ = nullptr;
  std::vector<Value> values_;                         // by ValueId
  std::vector<std::vector<llvm::Value*>> registers_;  // by BufferId: rows of row_lanes()
  std::vector<Frame> frames_;
  std::unordered_map<uint32_t, Variable> variables_;
  Substitution renamed_;  // variables of unrolled loops are numbers; see emit_bind
  uint32_t next_variable_;
  Ranges ranges_;
  // The vector loop around the insertion point: `chunks_` SIMD values of `width_` lanes; width 0 if
  // there is none. `chunk_` is the one that is written now.
  uint32_t lane_variable_ = 0;
  unsigned width_ = 0;
  unsigned chunks_ = 1;
  unsigned chunk_ = 0;
  Parts masks_;  // active lanes; empty: all
  bool has_streamed_ = false;
};

// Bytes of scratch before local buffer `buffer`, and of all local buffers together.
Expr local_offset(const Kernel& kernel, BufferId buffer);
Expr local_size(const Kernel& kernel);

}  // namespace plait::native

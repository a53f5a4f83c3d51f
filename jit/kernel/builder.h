// Appends instructions to a kernel. Used by lower/ and by tests.
#pragma once

#include <functional>
#include <map>

#include "jit/kernel/kir.h"

namespace plait::kernel {

class Builder {
 public:
  explicit Builder(Kernel& kernel) : kernel_(kernel) {}

  Kernel& kernel() { return kernel_; }
  uint32_t new_variable() { return kernel_.next_variable++; }
  BufferId add_buffer(Buffer buffer);

  // Where instructions go. `phase`, `loop`, `when` run `body` with the insertion point inside.
  void phase(Expr extent, const std::function<void(Expr variable)>& body);
  void loop(LoopKind kind, Expr extent, const std::function<void(Expr variable)>& body);
  void when(ValueId condition, const std::function<void()>& body);
  void flush(const std::function<void()>& body);

  // How many blocks are open; the innermost is depth() - 1.
  size_t depth() const { return blocks_.size(); }
  // Runs `body` with the insertion point at the end of an outer open block: before the loops that
  // are open inside it. `body` may append values only.
  ValueId hoist(size_t block, const std::function<ValueId()>& body);

  ValueId constant(Scalar value);
  ValueId constant(DType dtype, double value) { return constant(Scalar(dtype, value)); }
  ValueId index(Expr e);  // i64
  ValueId unary(Op op, ValueId a);
  ValueId binary(Op op, ValueId a, ValueId b);  // comparisons give bool
  ValueId fma(ValueId a, ValueId b, ValueId c);
  ValueId pair_dot(ValueId a, ValueId b, ValueId sum);
  ValueId select(ValueId condition, ValueId yes, ValueId no);
  ValueId cast(DType dtype, ValueId a);  // a itself if it has the dtype
  ValueId bitcast(DType dtype, ValueId a);
  // u32; `seed`, `step`, `salt` and `element` are i64. See core/random.h.
  ValueId random(ValueId seed, ValueId step, ValueId salt, ValueId element);
  ValueId load(BufferId buffer, Expr index);
  void store(BufferId buffer, Expr index, ValueId value);
  // The line of this element will be read soon. The index may lie outside the buffer.
  void prefetch(BufferId buffer, Expr index);
  void transpose(BufferId buffer);
  void tile_zero(Place tile);
  // Rows `pitch` elements apart.
  void tile_load(Place tile, Place memory, Expr pitch, Expr rows, Expr columns);
  void tile_store(Place memory, Place tile, Expr pitch);
  void tile_dot(Place sums, Place left, Place right);
  Expr bind(ValueId value, Expr extent);
  void report(ValueId condition, ValueId bad, uint32_t site, Expr position);

  // Shorthands.
  ValueId add(ValueId a, ValueId b) { return binary(Op::add, a, b); }
  ValueId sub(ValueId a, ValueId b) { return binary(Op::sub, a, b); }
  ValueId mul(ValueId a, ValueId b) { return binary(Op::mul, a, b); }

 private:
  ValueId append(Instruction instruction, DType type);
  Kernel& kernel_;
  std::vector<Block*> blocks_;  // the insertion point is the last
};

}  // namespace plait::kernel

// Emits graph values at index tuples: the bridge from instances to kernel IR.
//
// A value is loaded where it is in memory, taken from what has been emitted for the same tuple in
// an open block, or computed from its operands. Every instruction is placed in the outermost open
// block in which all it depends on exists, so nothing invariant stays in a loop.
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/index/simplify.h"
#include "jit/kernel/builder.h"
#include "jit/kernel/facts.h"
#include "jit/lower/lower.h"
#include "passes/fusion/instance.h"

namespace plait::lower {

using fusion::Tuple;
using kernel::BufferId;
using kernel::LoopKind;
using kernel::ValueId;

class Values {
 public:
  Values(const Graph& graph, const fusion::FusionPlan& plan, kernel::Builder& builder,
         LoweredGroup& result);

  kernel::Builder& builder() { return builder_; }
  const Ranges& ranges() const { return facts_.ranges(); }
  // What an expression is in terms of the loops.
  Expr simplified(Expr e) const;

  // A variable that stands for `index` of [0, extent): what is made of it folds where sums of loop
  // variables no longer do, as the digits of a flat index that add up to it. Tuples may hold such
  // variables; simplified() puts the index in their place. Equal indices have one.
  Expr placeholder(Expr index, Expr extent);
  Tuple normalized(const Tuple& tuple) const;  // with placeholders

  // Structure: as Builder's, but variables are known here.
  void phase(Expr extent, double cost, const std::function<void(Expr)>& body);
  void loop(LoopKind kind, Expr extent, const std::function<void(Expr)>& body);
  void when(ValueId condition, const std::function<void()>& body);
  void flush(const std::function<void()>& body);
  // `yes` where a == b, else `no`; without a branch where that is certain.
  void branch_equal(Expr a, Expr b, const std::function<void()>& yes,
                    const std::function<void()>& no);
  // `body` where e < limit; without a branch where that is certain or impossible.
  void when_less(Expr e, Expr limit, const std::function<void()>& body);
  // `inside` where every index lies in [0, its extent), `outside` (if given) elsewhere; no branch
  // where that is certain.
  void branch_in_range(const std::vector<std::pair<Expr, Expr>>& indices,
                       const std::function<void()>& inside, const std::function<void()>& outside);

  // Values that this nest computes although they are, or will be, in memory.
  void set_computed_here(const std::vector<fusion::Member>& members);

  ValueId at(Value v, const Tuple& tuple);  // of the value's dtype
  // As the type in which it is computed and summed.
  ValueId compute_at(Value v, const Tuple& tuple);
  // Makes `id` what `v` is at `tuple` while the current block is open.
  void define(Value v, const Tuple& tuple, ValueId id);
  // `v` at `tuple` is element `index` of a buffer that this kernel has filled.
  void define_in_buffer(Value v, const Tuple& tuple, BufferId buffer, Expr index);
  void undefine_buffers() { in_buffer_.clear(); }
  void store(Value v, const Tuple& tuple, ValueId id);

  // Where an update of scatter `v` goes, and the scope in which it is in range. Reports bad indices
  // where the scatter says so.
  struct Target {
    Tuple tuple;
    std::function<void(const std::function<void()>&)> when_inside;
  };
  Target scatter_target(Value v, const Tuple& update);
  // An integer that is known to lie in [0, extent) becomes an index, in the current block.
  Expr bind(ValueId value, Expr extent);

  struct MemoryAccess {
    BufferId buffer;
    Expr index;
  };
  // Reads of values in memory, in the order in which they were placed.
  const std::vector<MemoryAccess>& memory_reads() const { return memory_reads_; }

  BufferId buffer_of(Value v, bool write);  // the kernel parameter for a value's memory
  BufferId workspace(DType dtype, Expr size);
  BufferId local(DType dtype, Expr size);
  BufferId registers(DType dtype, int64_t size, uint32_t lanes);
  BufferId tiles(DType dtype, int64_t count);
  ValueId narrow(ValueId id, DType dtype) { return builder_.cast(dtype, id); }

  // Addresses of values of `count` elements run over one flat axis: buffers get the size `symbol`.
  void set_flat_size(Expr count, Expr symbol) { flat_size_ = {count, symbol}; }

 private:
  struct Emitted {
    ValueId id;
    size_t block;  // where it was placed
  };
  struct Key {
    Value value;
    Tuple tuple;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  using Scope = std::unordered_map<Key, Emitted, KeyHash>;

  Emitted emit(Value v, const Tuple& tuple);
  Emitted compute(Value v, const Tuple& tuple);
  std::optional<Emitted> defined_nearby(Value v, const Tuple& tuple);
  Emitted elementwise(const Node& node, const Tuple& tuple);
  ValueId cast_value(ValueId value, DType dtype);
  Emitted load(BufferId buffer, Expr index);
  Emitted reindex(Value v, const Tuple& tuple);
  Emitted concat(Value v, const Tuple& tuple);
  Emitted random(Value v, const Tuple& tuple);
  Emitted index_value(Expr e);
  // The integer value of an index expression that reads tensors.
  Emitted data_index(Expr e);
  // That e is in [0, extent); nothing where that is certain.
  std::optional<Emitted> condition_in_range(Expr e, Expr extent);
  Emitted both(std::optional<Emitted> a, Emitted b);
  // Makes `at`, the index tuple of a mapped tensor of `shape`, safe to use, given the condition
  // that it was in range, if that is not certain. `position` is for error texts.
  struct Guard {
    std::optional<Emitted> condition;
    std::vector<std::pair<Expr, Expr>> in_range;
  };
  Guard bind_tuple(Value mapped, Tuple& at, const Shape& shape, Expr position);
  // A condition, what it says of index expressions (each with its extent), and the value there.
  struct Case {
    Emitted condition;
    std::vector<std::pair<Expr, Expr>> in_range;
    std::function<Emitted()> value;
  };
  Emitted guarded(DType dtype, Scalar otherwise, const std::vector<Case>& cases);
  Emitted place(std::initializer_list<Emitted> operands, const std::function<ValueId()>& make);
  size_t block_of(Expr e) const;
  // `body` where the condition holds, which says that e is in [0, extent).
  void guarded_scope(ValueId condition, const std::vector<std::pair<Expr, Expr>>& in_range,
                     const std::function<void()>& body);
  void push_scope(Expr variable, Expr extent);
  void pop_scope();

  const Graph& graph_;
  const fusion::FusionPlan& plan_;
  kernel::Builder& builder_;
  LoweredGroup& result_;
  kernel::Facts facts_;  // what holds at the insertion point
  std::unordered_map<uint32_t, size_t> variable_block_;
  std::vector<Scope> scopes_;  // one per open block
  size_t guard_block_ = 0;     // loads may not move out of a guard
  Expr vector_variable_;
  int64_t vector_extent_ = 0;  // 0: no vector loop is open
  std::unordered_set<Value> computed_here_;
  std::unordered_map<Key, std::pair<BufferId, Expr>, KeyHash> in_buffer_;
  std::vector<MemoryAccess> memory_reads_;
  std::unordered_map<Value, BufferId> buffers_;
  std::optional<std::pair<Expr, Expr>> flat_size_;
  std::unordered_map<Expr, std::vector<std::pair<Expr, Expr>>> placeholders_;  // extent, variable
  Substitution meanings_;                                                      // of placeholders
};

}  // namespace plait::lower

// Loops, conditions, bound variables and reports.
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsAArch64.h>
#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/IR/MDBuilder.h>

#include <algorithm>

#include "jit/llvm/emitter.h"

namespace plait::native {

unsigned chunk_width(unsigned lanes) {
  constexpr unsigned kLeastChunk = 8;
  unsigned factor = lanes & -lanes;
  return factor >= kLeastChunk ? factor : lanes;
}

llvm::BasicBlock* Emitter::new_block(const char* name) {
  return llvm::BasicBlock::Create(module_.getContext(), name, function_);
}

void Emitter::emit_loop(const Instruction& loop) {
  Expr extent = resolve(loop.expression);
  auto constant = extent.constant();
  if (constant && *constant <= 0) return;
  ranges_.set(loop.variable, extent);
  bool copies = loop.loop_kind == kernel::LoopKind::unrolled || constant == 1;
  if (copies) {
    PLAIT_INTERNAL_CHECK(constant, "{}: unrolled loop of extent {}", kernel_.name,
                         to_string(extent));
    for (int64_t i = 0; i < *constant; ++i) {
      renamed_.insert_or_assign(loop.variable, Expr(i));
      emit_block(loop.body);
    }
    renamed_.erase(loop.variable);
    return;
  }
  if (loop.loop_kind == kernel::LoopKind::vector) {
    PLAIT_INTERNAL_CHECK(constant && *constant <= 64, "{}: vector loop of extent {}", kernel_.name,
                         to_string(extent));
    emit_vector_loop(loop, *constant);
    return;
  }
  PLAIT_INTERNAL_CHECK(!is_varying(extent), "{}: lanes differ in the extent {} of a loop",
                       kernel_.name, to_string(extent));
  Interval range = bounds(extent, ranges_);
  bool may_be_empty = !range.lo || *range.lo < 1;
  Rows carried = stored_registers(loop.body);
  emit_counted_loop(
      loop.variable, extent, b_.getInt64(0), scalar_index(extent), may_be_empty,
      [&] { emit_block(loop.body); }, carried);
}

void Emitter::emit_vector_loop(const Instruction& loop, int64_t extent) {
  PLAIT_INTERNAL_CHECK(width_ == 0, "{}: vector loops nest", kernel_.name);
  lane_variable_ = loop.variable;
  width_ = chunk_width(static_cast<unsigned>(extent));
  chunks_ = static_cast<unsigned>(extent) / width_;
  // Lane numbers are constants: they are known in the function's frame.
  variables_.insert_or_assign(loop.variable, Variable{{lane_numbers(b_.getInt64Ty())}, 0});
  emit_block(loop.body);
  variables_.erase(loop.variable);
  width_ = 0;
  chunks_ = 1;
  Frame& frame = frames_.back();
  frame.splats.clear();
  frame.lane_indices.clear();
}

// The loop tests at its end. `carried` are the register buffers that the body stores to.
void Emitter::emit_counted_loop(uint32_t variable, Expr extent, llvm::Value* begin,
                                llvm::Value* end, bool may_be_empty,
                                const std::function<void()>& body, const Rows& carried) {
  llvm::BasicBlock* before = b_.GetInsertBlock();
  llvm::BasicBlock* header = new_block("loop");
  llvm::BasicBlock* after = new_block("after");
  Frame frame;
  if (may_be_empty)
    frame.before = b_.CreateCondBr(b_.CreateICmpSLT(begin, end), header, after);
  else
    frame.before = b_.CreateBr(header);
  b_.SetInsertPoint(header);
  frame.counter = b_.CreatePHI(b_.getInt64Ty(), 2, "i");
  frame.counter->addIncoming(begin, before);
  frame.first = begin;
  frame.variable = variable;
  variables_.insert_or_assign(variable, Variable{{frame.counter}, frames_.size()});
  ranges_.set(variable, extent);

  std::vector<llvm::PHINode*> phis;
  for (const auto& [id, rows] : carried)
    for (size_t row = 0; row < rows.size(); ++row) {
      phis.push_back(b_.CreatePHI(rows[row]->getType(), 2));
      phis.back()->addIncoming(rows[row], before);
      registers_[id][row] = phis.back();
    }
  frames_.push_back(std::move(frame));
  body();

  llvm::BasicBlock* latch = b_.GetInsertBlock();
  close_loop(frames_.back(), end, latch, header, after);
  after->moveAfter(latch);
  frames_.pop_back();
  variables_.erase(variable);

  Rows last = current_rows(carried);
  size_t position = 0;
  for (size_t i = 0; i < carried.size(); ++i)
    for (size_t row = 0; row < carried[i].second.size(); ++row) {
      llvm::PHINode* phi = phis[position++];
      if (last[i].second[row] != phi) {
        phi->addIncoming(last[i].second[row], latch);
        continue;
      }
      // The body leaves this row alone.
      phi->replaceAllUsesWith(carried[i].second[row]);
      phi->eraseFromParent();
      last[i].second[row] = carried[i].second[row];
    }
  b_.SetInsertPoint(after);
  put_rows(may_be_empty ? merge_rows(carried, before, last, latch) : last);
}

// Steps the counters and goes back to the header while iterations are left.
void Emitter::close_loop(Frame& frame, llvm::Value* end, llvm::BasicBlock* latch,
                         llvm::BasicBlock* header, llvm::BasicBlock* after) {
  llvm::PHINode* tested = frame.counter;
  llvm::Value *step = b_.getInt64(1), *limit = end;
  // Where only a multiple of the counter is used, that one counts.
  if (frame.counter->use_empty())
    for (const Induction& induction : frame.inductions)
      if (induction.coefficient.constant().value_or(0) > 0) {
        tested = induction.phi;
        step = induction.step;
        llvm::IRBuilderBase::InsertPointGuard guard(b_);
        b_.SetInsertPoint(frame.before);
        limit = b_.CreateNSWMul(end, step);
        break;
      }
  llvm::Value* next = b_.CreateNSWAdd(tested, step);
  tested->addIncoming(next, latch);
  for (const Induction& induction : frame.inductions)
    if (induction.phi != tested)
      induction.phi->addIncoming(b_.CreateNSWAdd(induction.phi, induction.step), latch);
  if (tested != frame.counter) frame.counter->eraseFromParent();
  b_.CreateCondBr(b_.CreateICmpSLT(next, limit), header, after);
}

void Emitter::emit_when(const Instruction& when) {
  Parts conditions = for_chunks([&] { return bits(when.operands[0]); });
  auto each_is = [&](bool (llvm::Constant::*test)() const) {
    return std::all_of(conditions.begin(), conditions.end(), [&](llvm::Value* condition) {
      auto* constant = llvm::dyn_cast<llvm::Constant>(condition);
      return constant && (constant->*test)();
    });
  };
  if (each_is(&llvm::Constant::isNullValue)) return;
  if (each_is(&llvm::Constant::isAllOnesValue))
    emit_block(when.body);
  else if (is_vector(conditions[0]))
    emit_masked(conditions, when.body);
  else
    emit_branch(conditions[0], when.body);
}

// The modes of the processor that give exactly this: on x86 flush-to-zero and denormals-are-zero of
// MXCSR; on AArch64 FZ of FPCR, which takes a result for tiny before it is rounded.
void Emitter::emit_flush(const Instruction& flush) {
  if (isa_.is_x86) {
    constexpr uint32_t kFlush = 0x8040;
    llvm::Value *before = entry_slot(4), *inside = entry_slot(4);
    b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_stmxcsr, {}, {before});
    llvm::Value* mode = b_.CreateAlignedLoad(b_.getInt32Ty(), before, llvm::Align(4));
    b_.CreateAlignedStore(b_.CreateOr(mode, kFlush), inside, llvm::Align(4));
    b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_ldmxcsr, {}, {inside});
    emit_block(flush.body);
    b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_ldmxcsr, {}, {before});
    return;
  }
  constexpr uint64_t kFlush = 1u << 24;
  llvm::Value* mode = b_.CreateIntrinsic(llvm::Intrinsic::aarch64_get_fpcr, {}, {});
  b_.CreateIntrinsic(llvm::Intrinsic::aarch64_set_fpcr, {}, {b_.CreateOr(mode, kFlush)});
  emit_block(flush.body);
  b_.CreateIntrinsic(llvm::Intrinsic::aarch64_set_fpcr, {}, {mode});
}

void Emitter::emit_branch(llvm::Value* condition, const Block& body) {
  Rows stored = stored_registers(body);
  llvm::BasicBlock* before = b_.GetInsertBlock();
  llvm::BasicBlock* inside = new_block("when");
  llvm::BasicBlock* after = new_block("after");
  Frame frame;
  frame.before = b_.CreateCondBr(condition, inside, after);
  frames_.push_back(std::move(frame));
  b_.SetInsertPoint(inside);
  emit_block(body);
  llvm::BasicBlock* last = b_.GetInsertBlock();
  b_.CreateBr(after);
  after->moveAfter(last);
  frames_.pop_back();
  b_.SetInsertPoint(after);
  put_rows(merge_rows(stored, before, current_rows(stored), last));
}

// Whether the body does something that must not happen when no lane runs: accesses that all lanes
// share, and whole loops.
bool Emitter::needs_active_lane(const Block& body) const {
  bool needs = false;
  kernel::for_each_instruction(body, [&](const Instruction& in) {
    if (in.op == Op::loop && in.loop_kind == kernel::LoopKind::serial) needs = true;
    if (in.op != Op::load && in.op != Op::store) return;
    if (kernel_.buffers[in.buffer].scope == BufferScope::registers && in.op == Op::load) return;
    // A variable bound in this body may differ between lanes: not known yet.
    if (!is_varying(in.expression)) needs = true;
  });
  return needs;
}

llvm::Value* Emitter::any_active() {
  llvm::Value* any = masks_[0];
  for (size_t i = 1; i < masks_.size(); ++i) any = b_.CreateOr(any, masks_[i]);
  return b_.CreateOrReduce(any);
}

llvm::Value* Emitter::all_active() {
  llvm::Value* all = masks_[0];
  for (size_t i = 1; i < masks_.size(); ++i) all = b_.CreateAnd(all, masks_[i]);
  return b_.CreateAndReduce(all);
}

bool Emitter::has_access(const Block& body) const {
  bool has = false;
  kernel::for_each_instruction(body, [&](const Instruction& in) {
    if (in.op != Op::load && in.op != Op::store) return;
    has |= kernel_.buffers[in.buffer].scope != BufferScope::registers;
  });
  return has;
}

void Emitter::emit_masked(const Parts& conditions, const Block& body) {
  Parts outer = masks_;
  masks_ = conditions;
  for (size_t i = 0; i < outer.size(); ++i) masks_[i] = b_.CreateAnd(outer[i], masks_[i]);
  if (outer.empty() && !isa_.cheap_masks && has_access(body))
    emit_versions(body);
  else
    emit_active(body);
  masks_ = outer;
}

void Emitter::emit_active(const Block& body) {
  if (needs_active_lane(body))
    emit_branch(any_active(), body);
  else
    emit_block(body);
}

// Where masked accesses are slow, mostly all lanes run: that case gets code without masks.
void Emitter::emit_versions(const Block& body) {
  Rows stored = stored_registers(body);
  Parts masks = masks_;
  llvm::BasicBlock* all = new_block("all_lanes");
  llvm::BasicBlock* some = new_block("some_lanes");
  llvm::BasicBlock* after = new_block("after");
  llvm::Instruction* before = b_.CreateCondBr(all_active(), all, some);
  auto arm = [&](llvm::BasicBlock* block, const Parts& active) {
    frames_.emplace_back().before = before;
    put_rows(stored);
    masks_ = active;
    b_.SetInsertPoint(block);
    if (active.empty())
      emit_block(body);
    else
      emit_active(body);
    b_.CreateBr(after);
    frames_.pop_back();
    return current_rows(stored);
  };
  Rows with_all = arm(all, {});
  llvm::BasicBlock* last_all = b_.GetInsertBlock();
  some->moveAfter(last_all);
  Rows with_some = arm(some, masks);
  llvm::BasicBlock* last_some = b_.GetInsertBlock();
  after->moveAfter(last_some);
  b_.SetInsertPoint(after);
  put_rows(merge_rows(with_all, last_all, with_some, last_some));
}

void Emitter::emit_bind(const Instruction& bind) {
  Expr extent = resolve(bind.expression);
  const Value& source = values_[bind.operands[0]];
  DType dtype = kernel_.type(bind.operands[0]);
  Parts parts = for_chunks([&]() -> llvm::Value* {
    llvm::Value* value = bits(bind.operands[0]);
    if (source.index && is_vector(value) && fits_i32(*source.index))
      return lane_index(*source.index, b_.getInt32Ty());
    // Lanes stay as narrow as their numbers allow.
    bool narrow = is_vector(value) && (dtype_size(dtype) < 4 || dtype == DType::i32);
    llvm::Type* type = with_lanes_of(value, narrow ? b_.getInt32Ty() : b_.getInt64Ty());
    return is_signed(dtype) ? b_.CreateSExt(value, type) : b_.CreateZExt(value, type);
  });
  // Copies of an unrolled body bind again: another name keeps their cached expressions apart.
  uint32_t variable = bind.variable;
  if (variables_.contains(variable)) {
    variable = next_variable_++;
    renamed_.insert_or_assign(bind.variable, Expr::variable(variable));
  }
  variables_.insert_or_assign(variable, Variable{std::move(parts), frames_.size() - 1});
  ranges_.set(variable, extent);
}

void Emitter::emit_report(const Instruction& report) {
  for (chunk_ = 0; chunk_ < chunks_; ++chunk_) {
    llvm::Value* condition = bits(report.operands[0]);
    bool lanes = mask() || is_vector(condition);
    if (!lanes) {
      emit_record(report, condition);
      break;
    }
    condition = as_vector(condition);
    emit_record(report, mask() ? b_.CreateAnd(condition, mask()) : condition);
  }
  chunk_ = 0;
}

// Where `bad` holds, in a lane or at all: the first one goes to the error record, if that is empty.
// The path is cold.
void Emitter::emit_record(const Instruction& report, llvm::Value* bad) {
  llvm::Value* set = is_vector(bad) ? b_.CreateBitCast(bad, b_.getIntNTy(width_)) : bad;
  llvm::Value* any = b_.CreateICmpNE(set, llvm::Constant::getNullValue(set->getType()));
  llvm::Value* value = bits(report.operands[1]);
  llvm::BasicBlock* cold = new_block("report");
  llvm::BasicBlock* record = new_block("record");
  llvm::BasicBlock* after = new_block("after");
  llvm::MDNode* unlikely = llvm::MDBuilder(module_.getContext()).createBranchWeights(1, 1 << 20);
  Frame frame;
  frame.before = b_.CreateCondBr(any, cold, after, unlikely);
  frames_.push_back(std::move(frame));
  b_.SetInsertPoint(cold);
  llvm::Value* position = index_value(resolve(report.expression));
  llvm::Value* lane = b_.CreateBinaryIntrinsic(llvm::Intrinsic::cttz,
                                               b_.CreateZExt(set, b_.getInt64Ty()), b_.getTrue());
  if (is_vector(value)) value = b_.CreateExtractElement(value, lane);
  if (is_vector(position)) position = b_.CreateExtractElement(position, lane);
  llvm::Value* error = function_->getArg(5);
  auto ordering = llvm::AtomicOrdering::Monotonic;
  llvm::Value* exchange = b_.CreateAtomicCmpXchg(error, b_.getInt64(-1), b_.getInt64(report.site),
                                                 llvm::Align(8), ordering, ordering);
  b_.CreateCondBr(b_.CreateExtractValue(exchange, 1), record, after);
  b_.SetInsertPoint(record);
  auto field = [&](unsigned i) { return b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), error, i); };
  b_.CreateAlignedStore(position, field(1), llvm::Align(8));
  b_.CreateAlignedStore(value, field(2), llvm::Align(8));
  b_.CreateBr(after);
  frames_.pop_back();
  b_.SetInsertPoint(after);
}

}  // namespace plait::native

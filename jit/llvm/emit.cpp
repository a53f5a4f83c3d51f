#include "jit/llvm/emit.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Function.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <algorithm>

#include "jit/kernel/types.h"
#include "jit/llvm/emitter.h"

namespace plait::native {

std::string phase_symbol(const std::string& kernel_name, size_t phase) {
  return fmt::format("{}_phase{}", kernel_name, phase);
}

std::vector<std::string> features_for(const Kernel& kernel, const Isa& isa) {
  bool has_tiles = false, has_pair_dots = false;
  for (const kernel::Phase& phase : kernel.phases) {
    kernel::for_each_instruction(phase.body, [&](const Instruction& in) {
      has_tiles |= kernel::class_of(in.op) == kernel::OpClass::tile;
      has_pair_dots |= in.op == Op::pair_dot;
    });
  }
  std::vector<std::string> features;
  if (has_tiles) features = {"amx-bf16", "amx-tile"};
  if (has_pair_dots && isa.has_avx512) features.push_back("avx512bf16");
  return features;
}

std::unique_ptr<llvm::Module> emit_module(const Kernel& kernel, llvm::LLVMContext& context,
                                          const Isa& isa) {
  auto module = std::make_unique<llvm::Module>(kernel.name, context);
  for (size_t phase = 0; phase < kernel.phases.size(); ++phase)
    Emitter(kernel, *module, isa).emit_phase(phase);
  if (const auto features = features_for(kernel, isa); !features.empty())
    for (llvm::Function& function : *module)
      if (!function.isDeclaration())
        function.addFnAttr("target-features", fmt::format("+{}", fmt::join(features, ",+")));
  const bool tile =
      std::any_of(kernel.buffers.begin(), kernel.buffers.end(), [](const Buffer& buffer) {
        constexpr int64_t kFew = 8;
        return buffer.scope == BufferScope::registers &&
               buffer.size.constant().value_or(0) >= kFew * int64_t{buffer.lanes};
      });
  if (tile) module->addModuleFlag(llvm::Module::Warning, kRegisterTile, 1);
  return module;
}

namespace {

constexpr int64_t kLocalAlignment = 64;

Expr local_bytes_of(const Buffer& buffer) {
  Expr bytes = buffer.size * static_cast<int64_t>(dtype_size(buffer.dtype));
  return ceil_div(bytes, kLocalAlignment) * kLocalAlignment;
}

}  // namespace

Expr local_offset(const Kernel& kernel, BufferId buffer) {
  Expr offset = 0;
  for (BufferId i = 0; i < buffer; ++i)
    if (kernel.buffers[i].scope == BufferScope::local)
      offset = offset + local_bytes_of(kernel.buffers[i]);
  return offset;
}

Expr local_size(const Kernel& kernel) {
  return local_offset(kernel, static_cast<BufferId>(kernel.buffers.size()));
}

Emitter::Emitter(const Kernel& kernel, llvm::Module& module, const Isa& isa)
    : kernel_(kernel),
      module_(module),
      b_(module.getContext()),
      isa_(isa),
      next_variable_(kernel.next_variable) {
  values_.resize(kernel.value_types.size());
  registers_.resize(kernel.buffers.size());
}

void Emitter::emit_phase(size_t index) {
  const kernel::Phase& phase = kernel_.phases[index];
  llvm::Type* pointer = b_.getPtrTy();
  llvm::Type* integer = b_.getInt64Ty();
  auto* type = llvm::FunctionType::get(
      b_.getVoidTy(), {pointer, pointer, integer, integer, pointer, pointer}, false);
  function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage,
                                     phase_symbol(kernel_.name, index), module_);
  const char* names[] = {"buffers", "sizes", "begin", "end", "local", "error"};
  for (unsigned i = 0; i < 6; ++i) function_->getArg(i)->setName(names[i]);
  function_->addFnAttr(llvm::Attribute::NoUnwind);
  // Take 512-bit registers where the target has them.
  if (isa_.is_x86) {
    function_->addFnAttr("min-legal-vector-width", "512");
    function_->addFnAttr("prefer-vector-width", "512");
  }

  b_.SetInsertPoint(llvm::BasicBlock::Create(module_.getContext(), "entry", function_));
  frames_.emplace_back();
  bool uses_tiles = false;
  kernel::for_each_instruction(phase.body, [&](const Instruction& in) {
    uses_tiles |= kernel::class_of(in.op) == kernel::OpClass::tile;
  });
  if (uses_tiles) configure_tiles();
  auto body = [&] {
    reset_registers();
    emit_block(phase.body);
  };
  emit_counted_loop(phase.variable, phase.extent, function_->getArg(2), function_->getArg(3), true,
                    body, {});
  // Streams are ordered with nothing, not even with what tells other threads that they are written.
  if (has_streamed_ && isa_.is_x86) b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_sfence, {}, {});
  if (uses_tiles) b_.CreateIntrinsic(llvm::Intrinsic::x86_tilerelease, {}, {});
  b_.CreateRetVoid();
  remove_dead_phis(*function_);
}

// Register buffers that are rewritten before they are read leave cycles of phis that feed only each
// other; they would cost registers.
void Emitter::remove_dead_phis(llvm::Function& function) {
  std::vector<llvm::PHINode*> phis, live;
  std::unordered_map<llvm::PHINode*, bool> is_live;
  for (llvm::BasicBlock& block : function)
    for (llvm::PHINode& phi : block.phis()) phis.push_back(&phi);
  auto mark = [&](llvm::PHINode* phi) {
    if (!is_live[phi]) live.push_back(phi);
    is_live[phi] = true;
  };
  for (llvm::PHINode* phi : phis)
    for (llvm::User* user : phi->users())
      if (!llvm::isa<llvm::PHINode>(user)) {
        mark(phi);
        break;
      }
  while (!live.empty()) {
    llvm::PHINode* phi = live.back();
    live.pop_back();
    for (llvm::Value* incoming : phi->incoming_values())
      if (auto* other = llvm::dyn_cast<llvm::PHINode>(incoming)) mark(other);
  }
  for (llvm::PHINode* phi : phis)
    if (!is_live[phi]) phi->replaceAllUsesWith(llvm::PoisonValue::get(phi->getType()));
  for (llvm::PHINode* phi : phis)
    if (!is_live[phi]) phi->eraseFromParent();
}

void Emitter::emit_block(const Block& block) {
  for (const Instruction& instruction : block) emit_instruction(instruction);
}

llvm::Type* Emitter::value_type(DType dtype) {
  return dtype == DType::boolean ? b_.getInt1Ty() : memory_type(dtype);
}

llvm::Type* Emitter::memory_type(DType dtype) {
  switch (dtype) {
    case DType::boolean:
    case DType::i8:
    case DType::u8:
      return b_.getInt8Ty();
    case DType::i16:
    case DType::f16:  // halves are their bits: arithmetic widens them first
    case DType::bf16:
      return b_.getInt16Ty();
    case DType::i32:
    case DType::u32:
      return b_.getInt32Ty();
    case DType::i64:
    case DType::u64:
      return b_.getInt64Ty();
    case DType::f32:
      return b_.getFloatTy();
    case DType::f64:
      return b_.getDoubleTy();
  }
  PLAIT_UNREACHABLE("dtype {}", static_cast<int>(dtype));
}

llvm::Constant* Emitter::constant(const Scalar& scalar) {
  llvm::Type* type = value_type(scalar.dtype());
  if (scalar.dtype() == DType::f32 || scalar.dtype() == DType::f64)
    return llvm::ConstantFP::get(type, scalar.as_double());
  if (is_float(scalar.dtype())) {
    uint16_t half;
    scalar.store(&half);
    return llvm::ConstantInt::get(type, half);
  }
  return llvm::ConstantInt::get(type, scalar.bits());
}

llvm::Value* Emitter::bits(kernel::ValueId id) {
  Value& value = values_[id];
  if (value.index) return index_value(*value.index);
  PLAIT_INTERNAL_CHECK(!value.parts.empty(), "%{} of {} is used before it is defined", id,
                       kernel_.name);
  return part(value.parts);
}

llvm::Value* Emitter::splat(llvm::Value* scalar) {
  if (auto* constant = llvm::dyn_cast<llvm::Constant>(scalar))
    return llvm::ConstantVector::getSplat(llvm::ElementCount::getFixed(width_), constant);
  llvm::Value*& vector = frames_.back().splats[scalar];
  if (!vector) vector = b_.CreateVectorSplat(width_, scalar);
  return vector;
}

void Emitter::unify(std::initializer_list<llvm::Value**> values) {
  bool any = false;
  for (llvm::Value** value : values) any |= is_vector(*value);
  if (!any) return;
  for (llvm::Value** value : values) *value = as_vector(*value);
}

llvm::Type* Emitter::with_lanes_of(llvm::Value* like, llvm::Type* type) {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(like->getType());
  return vector ? llvm::FixedVectorType::get(type, vector->getNumElements()) : type;
}

void Emitter::emit_instruction(const Instruction& in) {
  auto operand = [&](size_t i) { return bits(in.operands[i]); };
  auto operand_type = [&](size_t i) { return kernel_.type(in.operands[i]); };
  switch (in.op) {
    case Op::constant:
      values_[in.result] = Value{{constant(in.immediate)}, std::nullopt};
      if (in.immediate.dtype() == DType::i64)
        values_[in.result].index = Expr(static_cast<int64_t>(in.immediate.bits()));
      return;
    case Op::index:
      values_[in.result] = Value{{}, resolve(in.expression)};
      return;
    case Op::neg:
    case Op::abs:
    case Op::sqrt:
    case Op::floor:
    case Op::ceil:
    case Op::round:
    case Op::trunc:
    case Op::bit_not:
      set(in, [&] { return unary(in.op, operand_type(0), operand(0)); });
      return;
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::div:
    case Op::mod:
    case Op::maximum:
    case Op::minimum:
    case Op::ldexp:
    case Op::mul_high:
    case Op::bit_and:
    case Op::bit_or:
    case Op::bit_xor:
    case Op::shift_left:
    case Op::shift_right:
      set(in, [&] {
        llvm::Value *a = operand(0), *b = operand(1);
        unify({&a, &b});
        return binary(in.op, operand_type(0), a, b);
      });
      return;
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
      set(in, [&] { return emit_comparison(in); });
      return;
    case Op::fma:
      set(in, [&] {
        llvm::Value *a = operand(0), *b = operand(1), *c = operand(2);
        unify({&a, &b, &c});
        return b_.CreateIntrinsic(llvm::Intrinsic::fma, {a->getType()}, {a, b, c});
      });
      return;
    case Op::pair_dot:
      set(in, [&] {
        llvm::Value *a = operand(0), *b = operand(1), *sum = operand(2);
        unify({&a, &b, &sum});
        return pair_dot(a, b, sum);
      });
      return;
    case Op::select:
      set(in, [&] {
        llvm::Value *condition = operand(0), *yes = operand(1), *no = operand(2);
        // A uniform condition chooses whole vectors.
        if (is_vector(condition))
          unify({&condition, &yes, &no});
        else
          unify({&yes, &no});
        return b_.CreateSelect(condition, yes, no);
      });
      return;
    case Op::cast:
      if (kernel_.type(in.result) == operand_type(0))
        values_[in.result] = values_[in.operands[0]];
      else
        set(in, [&] { return emit_cast(in); });
      return;
    case Op::bitcast:
      set(in, [&] { return bitcast(operand(0), value_type(kernel_.type(in.result))); });
      return;
    case Op::random:
      set(in, [&] { return random(in); });
      return;
    case Op::load: {
      Expr offset = resolve(in.expression);
      set(in, [&] { return load(in.buffer, offset); });
      return;
    }
    case Op::store:
      store(in.buffer, resolve(in.expression), for_chunks([&] { return operand(0); }));
      return;
    case Op::prefetch:
      prefetch(in.buffer, resolve(in.expression));
      return;
    case Op::transpose:
      transpose(in.buffer);
      return;
    case Op::tile_zero:
    case Op::tile_load:
    case Op::tile_store:
    case Op::tile_dot:
      emit_tile(in);
      return;
    case Op::loop:
      emit_loop(in);
      return;
    case Op::flush:
      emit_flush(in);
      return;
    case Op::when:
      emit_when(in);
      return;
    case Op::bind:
      emit_bind(in);
      return;
    case Op::report:
      emit_report(in);
      return;
  }
  PLAIT_UNREACHABLE("op {}", static_cast<int>(in.op));
}

llvm::Value* Emitter::emit_comparison(const Instruction& in) {
  const Value &x = values_[in.operands[0]], &y = values_[in.operands[1]];
  if (x.index && y.index) return compare_indices(in.op, *x.index, *y.index);
  llvm::Value *a = bits(in.operands[0]), *b = bits(in.operands[1]);
  unify({&a, &b});
  return compare(in.op, kernel_.type(in.operands[0]), a, b);
}

llvm::Value* Emitter::emit_cast(const Instruction& in) {
  const Value& value = values_[in.operands[0]];
  DType to = kernel_.type(in.result);
  // Narrow lanes convert cheaper.
  if (value.index && is_varying(*value.index) && fits_i32(*value.index))
    return cast(DType::i32, to, lane_index(*value.index, b_.getInt32Ty()));
  return cast(kernel_.type(in.operands[0]), to, bits(in.operands[0]));
}

}  // namespace plait::native

#include "jit/kernel/builder.h"

#include "core/error.h"
#include "jit/kernel/types.h"

namespace plait::kernel {

namespace {

Instruction make(Op op, std::vector<ValueId> operands = {}, Expr expression = 0) {
  Instruction instruction;
  instruction.op = op;
  instruction.operands = std::move(operands);
  instruction.expression = expression;
  return instruction;
}

DType type_of(const Kernel& kernel, ValueId v) {
  PLAIT_INTERNAL_CHECK(v < kernel.value_types.size(), "there is no value %{}", v);
  return kernel.type(v);
}

}  // namespace

BufferId Builder::add_buffer(Buffer buffer) {
  kernel_.buffers.push_back(std::move(buffer));
  return static_cast<BufferId>(kernel_.buffers.size() - 1);
}

void Builder::phase(Expr extent, const std::function<void(Expr)>& body) {
  PLAIT_INTERNAL_CHECK(blocks_.empty(), "a phase inside another");
  Phase phase{new_variable(), extent, {}, 0};
  blocks_.push_back(&phase.body);
  body(Expr::variable(phase.variable));
  blocks_.pop_back();
  kernel_.phases.push_back(std::move(phase));
}

void Builder::loop(LoopKind kind, Expr extent, const std::function<void(Expr)>& body) {
  Instruction loop = make(Op::loop, {}, extent);
  loop.variable = new_variable();
  loop.loop_kind = kind;
  blocks_.push_back(&loop.body);
  body(Expr::variable(loop.variable));
  blocks_.pop_back();
  append(std::move(loop), {});
}

void Builder::when(ValueId condition, const std::function<void()>& body) {
  Instruction when = make(Op::when, {condition});
  blocks_.push_back(&when.body);
  body();
  blocks_.pop_back();
  append(std::move(when), {});
}

void Builder::flush(const std::function<void()>& body) {
  Instruction flush = make(Op::flush);
  blocks_.push_back(&flush.body);
  body();
  blocks_.pop_back();
  append(std::move(flush), {});
}

ValueId Builder::hoist(size_t block, const std::function<ValueId()>& body) {
  PLAIT_INTERNAL_CHECK(block < blocks_.size(), "block {} of {}", block, blocks_.size());
  std::vector<Block*> inner(blocks_.begin() + static_cast<std::ptrdiff_t>(block) + 1,
                            blocks_.end());
  blocks_.resize(block + 1);
  const ValueId result = body();
  blocks_.insert(blocks_.end(), inner.begin(), inner.end());
  return result;
}

ValueId Builder::constant(Scalar value) {
  Instruction constant = make(Op::constant);
  constant.immediate = value;
  return append(std::move(constant), value.dtype());
}

ValueId Builder::index(Expr e) { return append(make(Op::index, {}, e), DType::i64); }

ValueId Builder::unary(Op op, ValueId a) {
  PLAIT_INTERNAL_CHECK(class_of(op) == OpClass::unary, "{} is not unary", name_of(op));
  return append(make(op, {a}), type_of(kernel_, a));
}

ValueId Builder::binary(Op op, ValueId a, ValueId b) {
  const bool compares = class_of(op) == OpClass::comparison;
  PLAIT_INTERNAL_CHECK(compares || class_of(op) == OpClass::binary, "{} is not binary",
                       name_of(op));
  return append(make(op, {a, b}), compares ? DType::boolean : type_of(kernel_, a));
}

ValueId Builder::fma(ValueId a, ValueId b, ValueId c) {
  return append(make(Op::fma, {a, b, c}), type_of(kernel_, a));
}

ValueId Builder::pair_dot(ValueId a, ValueId b, ValueId sum) {
  return append(make(Op::pair_dot, {a, b, sum}), type_of(kernel_, sum));
}

ValueId Builder::random(ValueId seed, ValueId step, ValueId salt, ValueId element) {
  return append(make(Op::random, {seed, step, salt, element}), DType::u32);
}

ValueId Builder::select(ValueId condition, ValueId yes, ValueId no) {
  return append(make(Op::select, {condition, yes, no}), type_of(kernel_, yes));
}

ValueId Builder::cast(DType dtype, ValueId a) {
  if (type_of(kernel_, a) == dtype) return a;
  return append(make(Op::cast, {a}), dtype);
}

ValueId Builder::bitcast(DType dtype, ValueId a) {
  if (type_of(kernel_, a) == dtype) return a;
  return append(make(Op::bitcast, {a}), dtype);
}

ValueId Builder::load(BufferId buffer, Expr index) {
  PLAIT_INTERNAL_CHECK(buffer < kernel_.buffers.size(), "buffer {}", buffer);
  Instruction load = make(Op::load, {}, index);
  load.buffer = buffer;
  return append(std::move(load), kernel_.buffers[buffer].dtype);
}

void Builder::store(BufferId buffer, Expr index, ValueId value) {
  PLAIT_INTERNAL_CHECK(buffer < kernel_.buffers.size(), "buffer {}", buffer);
  PLAIT_INTERNAL_CHECK(type_of(kernel_, value) == kernel_.buffers[buffer].dtype,
                       "store of {} to {}: {}", dtype_name(type_of(kernel_, value)),
                       kernel_.buffers[buffer].name, dtype_name(kernel_.buffers[buffer].dtype));
  Instruction store = make(Op::store, {value}, index);
  store.buffer = buffer;
  append(std::move(store), {});
}

void Builder::prefetch(BufferId buffer, Expr index) {
  Instruction prefetch = make(Op::prefetch, {}, index);
  prefetch.buffer = buffer;
  append(std::move(prefetch), {});
}

void Builder::transpose(BufferId buffer) {
  Instruction transpose = make(Op::transpose);
  transpose.buffer = buffer;
  append(std::move(transpose), {});
}

void Builder::tile_zero(Place tile) {
  Instruction zero = make(Op::tile_zero);
  zero.places = {tile};
  append(std::move(zero), {});
}

void Builder::tile_load(Place tile, Place memory, Expr pitch, Expr rows, Expr columns) {
  Instruction load = make(Op::tile_load);
  load.places = {tile, memory};
  load.pitch = pitch;
  load.rows = rows;
  load.columns = columns;
  append(std::move(load), {});
}

void Builder::tile_store(Place memory, Place tile, Expr pitch) {
  Instruction store = make(Op::tile_store);
  store.places = {memory, tile};
  store.pitch = pitch;
  append(std::move(store), {});
}

void Builder::tile_dot(Place sums, Place left, Place right) {
  Instruction dot = make(Op::tile_dot);
  dot.places = {sums, left, right};
  append(std::move(dot), {});
}

Expr Builder::bind(ValueId value, Expr extent) {
  Instruction bind = make(Op::bind, {value}, extent);
  bind.variable = new_variable();
  const Expr variable = Expr::variable(bind.variable);
  append(std::move(bind), {});
  return variable;
}

void Builder::report(ValueId condition, ValueId bad, uint32_t site, Expr position) {
  Instruction report = make(Op::report, {condition, bad}, position);
  report.site = site;
  append(std::move(report), {});
}

ValueId Builder::append(Instruction instruction, DType type) {
  PLAIT_INTERNAL_CHECK(!blocks_.empty(), "{} outside a phase", name_of(instruction.op));
  std::vector<DType> operands;
  for (ValueId v : instruction.operands) {
    operands.push_back(type_of(kernel_, v));
  }
  const std::string error = type_error(instruction.op, operands, type);
  PLAIT_INTERNAL_CHECK(error.empty(), "{} {}", name_of(instruction.op), error);
  if (has_result(instruction.op)) {
    instruction.result = static_cast<ValueId>(kernel_.value_types.size());
    kernel_.value_types.push_back(type);
  }
  const ValueId result = instruction.result;
  blocks_.back()->push_back(std::move(instruction));
  return result;
}

}  // namespace plait::kernel

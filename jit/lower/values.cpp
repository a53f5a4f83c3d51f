#include "jit/lower/values.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/random.h"
#include "core/slot.h"
#include "jit/lower/math.h"

namespace plait::lower {

using kernel::Op;

size_t Values::KeyHash::operator()(const Key& key) const {
  size_t hash = key.value * 0x9e3779b97f4a7c15ull;
  for (Expr e : key.tuple) hash = (hash ^ e.hash()) * 0x9e3779b97f4a7c15ull;
  return hash;
}

Values::Values(const Graph& graph, const fusion::FusionPlan& plan, kernel::Builder& builder,
               LoweredGroup& result)
    : graph_(graph), plan_(plan), builder_(builder), result_(result) {}

Expr Values::simplified(Expr e) const {
  e = simplify(e, ranges());
  if (meanings_.empty()) return e;
  const std::vector<uint32_t> variables = variables_of(e);
  const bool stands_for_others =
      std::any_of(variables.begin(), variables.end(),
                  [&](uint32_t variable) { return meanings_.contains(variable); });
  return stands_for_others ? simplify(substitute(e, meanings_), ranges()) : e;
}

Expr Values::placeholder(Expr index, Expr extent) {
  index = simplified(index);
  std::vector<std::pair<Expr, Expr>>& known = placeholders_[index];
  for (const auto& [its_extent, variable] : known) {
    if (its_extent == extent) return variable;
  }
  const Expr variable = Expr::variable(builder_.new_variable());
  facts_.set_range(variable.id(), extent);
  meanings_.emplace(variable.id(), index);
  known.emplace_back(extent, variable);
  return variable;
}

Tuple Values::normalized(const Tuple& tuple) const {
  Tuple result;
  result.reserve(tuple.size());
  for (Expr e : tuple) result.push_back(simplify(e, ranges()));
  return result;
}

// ---- structure

void Values::push_scope(Expr variable, Expr extent) {
  scopes_.emplace_back();
  variable_block_[variable.id()] = scopes_.size() - 1;
  facts_.add_variable(variable.id(), extent);
}

void Values::pop_scope() { scopes_.pop_back(); }

void Values::phase(Expr extent, double cost, const std::function<void(Expr)>& body) {
  extent = simplified(extent);
  if (extent.is_constant(0)) return;
  builder_.phase(extent, [&](Expr variable) {
    const kernel::Facts::Mark mark = facts_.mark();
    push_scope(variable, extent);
    body(variable);
    pop_scope();
    facts_.release(mark);
  });
  builder_.kernel().phases.back().cost = cost;
}

void Values::loop(LoopKind kind, Expr extent, const std::function<void(Expr)>& body) {
  extent = simplified(extent);
  if (extent.is_constant(0)) return;
  builder_.loop(kind, extent, [&](Expr variable) {
    const kernel::Facts::Mark mark = facts_.mark();
    push_scope(variable, extent);
    if (kind == LoopKind::vector) {
      vector_variable_ = variable;
      vector_extent_ = *extent.constant();
    }
    body(variable);
    if (kind == LoopKind::vector) vector_extent_ = 0;
    pop_scope();
    facts_.release(mark);
  });
}

void Values::when(ValueId condition, const std::function<void()>& body) {
  guarded_scope(condition, {}, body);
}

void Values::flush(const std::function<void()>& body) {
  builder_.flush([&] {
    scopes_.emplace_back();
    body();
    pop_scope();
  });
}

void Values::guarded_scope(ValueId condition, const std::vector<std::pair<Expr, Expr>>& in_range,
                           const std::function<void()>& body) {
  builder_.when(condition, [&] {
    const kernel::Facts::Mark mark = facts_.mark();
    for (const auto& [e, extent] : in_range) {
      facts_.add_nonnegative(e);
      facts_.add_less(e, extent);
    }
    scopes_.emplace_back();
    const size_t outer = std::exchange(guard_block_, scopes_.size() - 1);
    body();
    guard_block_ = outer;
    pop_scope();
    facts_.release(mark);
  });
}

void Values::branch_equal(Expr a, Expr b, const std::function<void()>& yes,
                          const std::function<void()>& no) {
  if (simplified(a - b).is_constant(0)) return yes();
  const ValueId equal =
      builder_.binary(Op::eq, builder_.index(simplified(a)), builder_.index(simplified(b)));
  when(equal, yes);
  when(builder_.unary(Op::bit_not, equal), no);
}

void Values::when_less(Expr e, Expr limit, const std::function<void()>& body) {
  if (facts_.proves_nonnegative(limit - e - 1)) return body();
  if (prove_less(e, limit, ranges()) == false) return;
  const ValueId condition =
      builder_.binary(Op::lt, builder_.index(simplified(e)), builder_.index(simplified(limit)));
  // Indices are never negative: limit - 1 - e >= 0 is all that is new.
  guarded_scope(condition, {{e, limit}}, body);
}

void Values::branch_in_range(const std::vector<std::pair<Expr, Expr>>& indices,
                             const std::function<void()>& inside,
                             const std::function<void()>& outside) {
  std::optional<Emitted> all;
  for (const auto& [e, extent] : indices) {
    if (const auto condition = condition_in_range(e, extent)) all = both(all, *condition);
  }
  if (!all) return inside();
  guarded_scope(all->id, indices, inside);
  if (outside) when(builder_.unary(Op::bit_not, all->id), outside);
}

void Values::set_computed_here(const std::vector<fusion::Member>& members) {
  computed_here_.clear();
  for (const fusion::Member& member : members) computed_here_.insert(member.value);
}

// ---- buffers

BufferId Values::buffer_of(Value v, bool write) {
  using kernel::Access;
  const auto it = buffers_.find(v);
  if (it != buffers_.end()) {
    kernel::Buffer& buffer = builder_.kernel().buffers[it->second];
    if ((buffer.access == Access::write) != write) buffer.access = Access::read_write;
    return it->second;
  }
  const Type& type = graph_.type(v);
  kernel::Buffer buffer;
  buffer.name = fmt::format("{}{}", write ? "y" : "x", buffers_.size());
  buffer.dtype = type.dtype;
  buffer.size = element_count(type.shape);
  if (flat_size_ && buffer.size == flat_size_->first) buffer.size = flat_size_->second;
  buffer.access = write ? Access::write : Access::read;
  const BufferId id = builder_.add_buffer(std::move(buffer));
  buffers_.emplace(v, id);
  result_.buffers.resize(id + 1);
  result_.buffers[id].value = v;
  return id;
}

BufferId Values::workspace(DType dtype, Expr size) {
  kernel::Buffer buffer;
  buffer.name = fmt::format("partial{}", builder_.kernel().buffers.size());
  buffer.dtype = dtype;
  buffer.size = size;
  buffer.scope = kernel::BufferScope::workspace;
  buffer.access = kernel::Access::read_write;
  const BufferId id = builder_.add_buffer(std::move(buffer));
  result_.buffers.resize(id + 1);
  result_.buffers[id] = {kNoValue, size * static_cast<int64_t>(dtype_size(dtype))};
  return id;
}

BufferId Values::local(DType dtype, Expr size) {
  kernel::Buffer buffer;
  buffer.name = fmt::format("row{}", builder_.kernel().buffers.size());
  buffer.dtype = dtype;
  buffer.size = size;
  buffer.scope = kernel::BufferScope::local;
  buffer.access = kernel::Access::read_write;
  return builder_.add_buffer(std::move(buffer));
}

BufferId Values::registers(DType dtype, int64_t size, uint32_t lanes) {
  kernel::Buffer buffer;
  buffer.name = fmt::format("r{}", builder_.kernel().buffers.size());
  buffer.dtype = dtype;
  buffer.size = size;
  buffer.scope = kernel::BufferScope::registers;
  buffer.access = kernel::Access::read_write;
  buffer.lanes = lanes;
  return builder_.add_buffer(std::move(buffer));
}

BufferId Values::tiles(DType dtype, int64_t count) {
  kernel::Buffer buffer;
  buffer.name = fmt::format("t{}", builder_.kernel().buffers.size());
  buffer.dtype = dtype;
  buffer.size = count * kernel::kTileElements;
  buffer.scope = kernel::BufferScope::tiles;
  buffer.access = kernel::Access::read_write;
  return builder_.add_buffer(std::move(buffer));
}

void Values::store(Value v, const Tuple& tuple, ValueId id) {
  const Type& type = graph_.type(v);
  builder_.store(buffer_of(v, true), simplified(linear_index(type.shape, tuple)),
                 builder_.cast(type.dtype, id));
}

// ---- values

void Values::define(Value v, const Tuple& tuple, ValueId id) {
  scopes_.back().insert_or_assign(Key{v, tuple}, Emitted{id, scopes_.size() - 1});
}

void Values::define_in_buffer(Value v, const Tuple& tuple, BufferId buffer, Expr index) {
  in_buffer_.insert_or_assign(Key{v, tuple}, std::pair(buffer, index));
}

ValueId Values::at(Value v, const Tuple& tuple) { return emit(v, tuple).id; }

ValueId Values::compute_at(Value v, const Tuple& tuple) {
  const Emitted value = emit(v, tuple);
  const DType dtype = compute_type(graph_.type(v).dtype);
  return place({value}, [&] { return builder_.cast(dtype, value.id); }).id;
}

Values::Emitted Values::emit(Value v, const Tuple& tuple) {
  const Key key{v, tuple};
  for (size_t i = scopes_.size(); i-- > 0;) {
    const auto it = scopes_[i].find(key);
    if (it != scopes_[i].end()) return it->second;
  }
  const Emitted value = compute(v, tuple);
  scopes_[value.block].emplace(key, value);
  return value;
}

Values::Emitted Values::compute(Value v, const Tuple& tuple) {
  const auto in_buffer = in_buffer_.find({v, tuple});
  if (in_buffer != in_buffer_.end()) {
    return load(in_buffer->second.first, in_buffer->second.second);
  }
  const Node& node = graph_.node(v);
  if (plan_.in_memory[v] && !computed_here_.contains(v)) {
    memory_reads_.push_back(
        {buffer_of(v, false), simplified(linear_index(node.type.shape, tuple))});
    return load(memory_reads_.back().buffer, memory_reads_.back().index);
  }
  switch (node.op) {
    case MetaOp::constant:
      PLAIT_INTERNAL_CHECK(node.type.rank() == 0, "constant %{} is in memory", v);
      return {builder_.hoist(0,
                             [&] {
                               return builder_.constant(
                                   Scalar::load(node.type.dtype, node.attributes.data->data()));
                             }),
              0};
    case MetaOp::iota: {
      const Emitted index = index_value(tuple[node.attributes.axes[0]]);
      return place({index}, [&] { return builder_.cast(node.type.dtype, index.id); });
    }
    case MetaOp::size:
      return index_value(node.attributes.size);
    case MetaOp::random:
      return random(v, tuple);
    case MetaOp::unary:
    case MetaOp::binary:
    case MetaOp::fma:
    case MetaOp::select:
    case MetaOp::cast:
      return elementwise(node, tuple);
    case MetaOp::detach:
      return emit(node.operands[0], tuple);
    case MetaOp::broadcast:
      return emit(node.operands[0], normalized(fusion::operand_tuple(graph_, node, tuple, 0)));
    case MetaOp::reindex:
      return reindex(v, tuple);
    case MetaOp::concat:
      return concat(v, tuple);
    case MetaOp::reduce:
      if (const auto found = defined_nearby(v, tuple)) return *found;
      break;
    case MetaOp::input:
    case MetaOp::parameter:
    case MetaOp::scatter:
    case MetaOp::scan:
    case MetaOp::sort:
    case MetaOp::assign:
      break;
  }
  std::vector<std::string> texts;
  for (Expr e : tuple) texts.push_back(to_string(e));
  PLAIT_UNREACHABLE("%{} ({}) is neither in memory nor defined at [{}]", v, name_of(node.op),
                    fmt::join(texts, ", "));
}

// What `v` was defined as at a tuple that equals this one here, though it is written otherwise:
// only the conditions around may say so.
std::optional<Values::Emitted> Values::defined_nearby(Value v, const Tuple& tuple) {
  auto same = [&](const Tuple& other) {
    for (size_t k = 0; k < tuple.size(); ++k) {
      const Expr difference = simplified(tuple[k]) - simplified(other[k]);
      const bool equal =
          facts_.proves_nonnegative(difference) && facts_.proves_nonnegative(-difference);
      if (!equal) return false;
    }
    return true;
  };
  for (size_t i = scopes_.size(); i-- > 0;) {
    for (const auto& [key, emitted] : scopes_[i]) {
      if (key.value == v && same(key.tuple)) return emitted;
    }
  }
  return std::nullopt;
}

// Where something over these operands can stand, and puts it there.
Values::Emitted Values::place(std::initializer_list<Emitted> operands,
                              const std::function<ValueId()>& make) {
  size_t block = 0;
  for (const Emitted& operand : operands) block = std::max(block, operand.block);
  return {builder_.hoist(block, make), block};
}

size_t Values::block_of(Expr e) const {
  size_t block = 0;
  for (uint32_t id : variables_of(e)) block = std::max(block, variable_block_.at(id));
  return block;
}

Values::Emitted Values::load(BufferId buffer, Expr index) {
  const kernel::BufferScope scope = builder_.kernel().buffers[buffer].scope;
  // Memory that this kernel fills may change in any block; only parameters are invariant.
  const bool fixed = scope == kernel::BufferScope::parameter &&
                     builder_.kernel().buffers[buffer].access == kernel::Access::read;
  const size_t block = fixed ? std::max(block_of(index), guard_block_) : builder_.depth() - 1;
  return {builder_.hoist(block, [&] { return builder_.load(buffer, index); }), block};
}

Values::Emitted Values::index_value(Expr e) {
  e = simplified(e);
  const size_t block = block_of(e);
  return {builder_.hoist(block, [&] { return builder_.index(e); }), block};
}

// As numpy: every number but 0 is true.
ValueId Values::cast_value(ValueId value, DType dtype) {
  const DType from = builder_.kernel().type(value);
  if (dtype != DType::boolean || from == dtype) return builder_.cast(dtype, value);
  const ValueId number = builder_.cast(compute_type(from), value);
  return builder_.binary(Op::ne, number, builder_.constant(Scalar(compute_type(from), int64_t{0})));
}

Values::Emitted Values::elementwise(const Node& node, const Tuple& tuple) {
  std::vector<Emitted> operands;
  size_t block = 0;
  for (Value operand : node.operands) {
    operands.push_back(emit(operand, tuple));
    block = std::max(block, operands.back().block);
  }
  const ValueId id = builder_.hoist(block, [&]() -> ValueId {
    std::vector<ValueId> ids;
    for (size_t i = 0; i < operands.size(); ++i) {
      const DType dtype = graph_.type(node.operands[i]).dtype;
      // Halves compute in f32 and round once; what only moves them keeps them.
      const bool moves = node.op == MetaOp::select || node.op == MetaOp::cast;
      ids.push_back(moves ? operands[i].id : builder_.cast(compute_type(dtype), operands[i].id));
    }
    switch (node.op) {
      case MetaOp::unary:
        return builder_.cast(node.type.dtype, emit_unary(builder_, node.unary(), ids[0]));
      case MetaOp::binary:
        return builder_.cast(node.type.dtype, emit_binary(builder_, node.binary(), ids[0], ids[1]));
      case MetaOp::fma:
        return builder_.cast(node.type.dtype, builder_.fma(ids[0], ids[1], ids[2]));
      case MetaOp::select:
        return builder_.select(ids[0], ids[1], ids[2]);
      default:
        return cast_value(ids[0], node.type.dtype);
    }
  });
  return {id, block};
}

// ---- guarded values

std::optional<Values::Emitted> Values::condition_in_range(Expr e, Expr extent) {
  const bool below = facts_.proves_nonnegative(extent - e - 1);
  const bool above = facts_.proves_nonnegative(e);
  if (below && above) return std::nullopt;
  const Emitted index = index_value(e);
  auto less = [&](Op op, Expr bound, bool bound_first) {
    const Emitted limit = index_value(bound);
    return place({index, limit}, [&] {
      return bound_first ? builder_.binary(op, limit.id, index.id)
                         : builder_.binary(op, index.id, limit.id);
    });
  };
  if (above) return less(Op::lt, extent, false);
  const Emitted lower = less(Op::le, 0, true);
  return below ? lower : both(lower, less(Op::lt, extent, false));
}

// The value of the case whose condition holds, `otherwise` where none does. Cases are exclusive.
Values::Emitted Values::guarded(DType dtype, Scalar otherwise, const std::vector<Case>& cases) {
  const bool vector = vector_extent_ > 0;
  const BufferId slot = registers(dtype, vector ? vector_extent_ : 1,
                                  vector ? static_cast<uint32_t>(vector_extent_) : 1);
  const Expr index = vector ? vector_variable_ : Expr();
  builder_.store(slot, index, builder_.constant(otherwise.cast(dtype)));
  for (const Case& one : cases) {
    guarded_scope(one.condition.id, one.in_range,
                  [&] { builder_.store(slot, index, one.value().id); });
  }
  const size_t block = builder_.depth() - 1;
  return {builder_.load(slot, index), block};
}

// The value of an expression that reads integer tensors, as i64.
Values::Emitted Values::data_index(Expr e) {
  if (!contains_element(e)) return index_value(e);
  auto fold = [&](Op op) {
    std::span<const Expr> operands = e.operands();
    Emitted result = data_index(operands[0]);
    for (Expr operand : operands.subspan(1)) {
      const Emitted next = data_index(operand);
      result = place({result, next}, [&] { return builder_.binary(op, result.id, next.id); });
    }
    return result;
  };
  switch (e.kind()) {
    case ExprKind::element: {
      const Tuple tuple(e.operands().begin(), e.operands().end());
      const Emitted value = emit(e.id(), normalized(tuple));
      return place({value}, [&] { return builder_.cast(DType::i64, value.id); });
    }
    case ExprKind::add:
      return fold(Op::add);
    case ExprKind::mul:
      return fold(Op::mul);
    case ExprKind::floor_div:
      return fold(Op::div);
    case ExprKind::mod:
      return fold(Op::mod);
    case ExprKind::min:
      return fold(Op::minimum);
    case ExprKind::max:
      return fold(Op::maximum);
    case ExprKind::constant:
    case ExprKind::symbol:
    case ExprKind::variable:
      break;
  }
  PLAIT_UNREACHABLE("index expression {}", to_string(e));
}

Values::Emitted Values::both(std::optional<Emitted> a, Emitted b) {
  if (!a) return b;
  return place({*a, b}, [&] { return builder_.binary(Op::bit_and, a->id, b.id); });
}

Expr Values::bind(ValueId value, Expr extent) {
  const Expr bound = builder_.bind(value, extent);
  facts_.add_variable(bound.id(), extent);
  variable_block_[bound.id()] = builder_.depth() - 1;
  return bound;
}

Values::Guard Values::bind_tuple(Value mapped, Tuple& at, const Shape& shape, Expr position) {
  const bool reports = graph_.node(mapped).attributes.out_of_range == OutOfRange::error;
  Guard guard;
  for (size_t axis = 0; axis < at.size(); ++axis) {
    if (!contains_element(at[axis])) {
      const Expr index = simplified(at[axis]);
      at[axis] = simplify(at[axis], ranges());
      if (const auto condition = condition_in_range(index, shape[axis])) {
        guard.condition = both(guard.condition, *condition);
        guard.in_range.emplace_back(index, shape[axis]);
      }
      continue;
    }
    const Emitted index = data_index(at[axis]);
    const Emitted zero = index_value(0);
    const Emitted limit = index_value(shape[axis]);
    const Emitted good = place({index, zero, limit}, [&] {
      return builder_.binary(Op::bit_and, builder_.binary(Op::le, zero.id, index.id),
                             builder_.binary(Op::lt, index.id, limit.id));
    });
    if (reports) {
      result_.kernel.sites.push_back({"index", static_cast<int64_t>(axis), shape[axis]});
      result_.axis_owners.push_back(mapped);
      const auto site = static_cast<uint32_t>(result_.kernel.sites.size() - 1);
      builder_.report(builder_.unary(Op::bit_not, good.id), index.id, site, position);
    }
    guard.condition = both(guard.condition, good);
    const Emitted safe =
        place({good, index, zero}, [&] { return builder_.select(good.id, index.id, zero.id); });
    at[axis] = bind(safe.id, shape[axis]);
  }
  return guard;
}

Values::Emitted Values::reindex(Value v, const Tuple& tuple) {
  const Node& node = graph_.node(v);
  Tuple at = fusion::operand_tuple(graph_, node, tuple, 0);
  const Guard guard = bind_tuple(v, at, graph_.type(node.operands[0]).shape,
                                 simplified(linear_index(node.type.shape, tuple)));
  if (!guard.condition) return emit(node.operands[0], at);
  return guarded(node.type.dtype, node.attributes.fill,
                 {{*guard.condition, guard.in_range, [&] { return emit(node.operands[0], at); }}});
}

Values::Target Values::scatter_target(Value v, const Tuple& update) {
  const Node& node = graph_.node(v);
  Target target;
  target.tuple = fusion::mapped_tuple(node, update, 2);
  const Guard guard =
      bind_tuple(v, target.tuple, node.type.shape,
                 simplified(linear_index(graph_.type(node.operands[1]).shape, update)));
  target.when_inside = [this, guard](const std::function<void()>& body) {
    if (!guard.condition) return body();
    guarded_scope(guard.condition->id, guard.in_range, body);
  };
  return target;
}

Values::Emitted Values::concat(Value v, const Tuple& tuple) {
  const Node& node = graph_.node(v);
  const int64_t axis = node.attributes.axes[0];
  std::vector<Case> cases;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const Tuple at = normalized(fusion::operand_tuple(graph_, node, tuple, i));
    const Expr index = simplified(at[axis]);
    const Expr extent = graph_.type(node.operands[i]).shape[axis];
    if (facts_.proves_nonnegative(-1 - index) || facts_.proves_nonnegative(index - extent)) {
      continue;
    }
    const std::optional<Emitted> condition = condition_in_range(index, extent);
    if (!condition) return emit(node.operands[i], at);
    cases.push_back({*condition, {{index, extent}}, [this, part = node.operands[i], at] {
                       return emit(part, at);
                     }});
  }
  return guarded(node.type.dtype, Scalar(node.type.dtype, 0), cases);
}

Values::Emitted Values::random(Value v, const Tuple& tuple) {
  const Node& node = graph_.node(v);
  const Emitted seed = emit(node.operands[0], {Expr()});
  const Emitted step = emit(node.operands[0], {Expr(1)});
  const Scalar salt_number(DType::i64, static_cast<int64_t>(node.attributes.salt));
  const Emitted salt = place({}, [&] { return builder_.constant(salt_number); });
  const Emitted element = index_value(simplified(linear_index(node.type.shape, tuple)));
  return place({seed, step, salt, element},
               [&] { return builder_.random(seed.id, step.id, salt.id, element.id); });
}

}  // namespace plait::lower

// The rules of a well-formed kernel. Beyond scopes and types:
// - Buffers: parameters, then workspaces, then local and register buffers. Sizes and phase extents
//   depend on the kernel's symbols alone.
// - Values and variables are defined once in the kernel, before and around their uses.
// - A variable lies in [0, extent): loops by construction, `bind` by contract of who built it.
// - vector and unrolled extents are numbers, vector ones at most 64; vector loops do not nest.
// - Register index: with each unrolled variable at each of its values, c + v or c, where c is a
//   number and v the vector variable around the access. The `lanes` elements that form one SIMD
//   value hold the whole access: c mod lanes + extent <= lanes. A transpose takes lanes^2 elements
//   and stands outside vector loops.
// - Tiles hold f32 or u32; a tile's index, over unrolled variables alone, is a multiple of
//   kTileElements. Tile ops stand outside vector loops. A load takes at most 16 rows of 64 bytes;
//   all that it or a store touches lies in the buffer.
// - Below `flush`, floats are f32, and no op but add, fma and pair_dot computes one; pair_dot is
//   nowhere else.
// - Iterations of a vector loop do not depend on each other: a store moves with the vector
//   variable, and no other access of the loop to that buffer, at a constant distance, hits another
//   lane's element. (Addresses that do not differ by a constant, and accesses below a `when`, are
//   the builder's promise.)
// - Every address is proven to lie in its buffer (facts.h), from the ranges of variables and from
//   `when` conditions that are `lt`, `le` of index values, or `bit_and`s of such.
#include <algorithm>
#include <optional>

#include "core/error.h"
#include "core/log.h"
#include "jit/kernel/facts.h"
#include "jit/kernel/kir.h"
#include "jit/kernel/types.h"

namespace plait::kernel {

namespace {

constexpr int64_t kMaxVectorExtent = 64;

bool is_identifier(const std::string& name) {
  const auto is_part = [](char c) {
    return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') || c == '_';
  };
  return !name.empty() && !('0' <= name[0] && name[0] <= '9') &&
         std::all_of(name.begin(), name.end(), is_part);
}

class Verifier {
 public:
  explicit Verifier(const Kernel& kernel)
      : kernel_(kernel),
        definitions_(kernel.value_types.size(), nullptr),
        is_visible_(kernel.value_types.size(), false),
        is_defined_variable_(kernel.next_variable, false),
        variables_(kernel.next_variable) {}

  void verify() {
    check(is_identifier(kernel_.name), "`{}` is no name for a kernel", kernel_.name);
    verify_symbols();
    verify_buffers();
    for (const ErrorSite& site : kernel_.sites) verify_expression(site.extent);
    for (const Phase& phase : kernel_.phases) {
      where_ = fmt::format("phase {}", &phase - kernel_.phases.data());
      verify_expression(phase.extent);
      const Facts::Mark mark = facts_.mark();
      define_variable(phase.variable, phase.extent, Role::phase);
      verify(phase.body);
      leave(phase.variable);
      facts_.release(mark);
    }
  }

 private:
  enum class Role : uint8_t { undefined, phase, serial, unrolled, vector, bound };
  struct Variable {
    Role role = Role::undefined;  // while in scope
    Expr extent;
  };
  // An access in the current vector loop.
  struct VectorAccess {
    const Instruction* instruction;
    Linear index;  // in the vector variable
    bool is_masked;
  };

  template <class... T>
  void check(bool holds, fmt::format_string<T...> format, T&&... values) const {
    if (!holds) fail(fmt::format(format, std::forward<T>(values)...));
  }
  [[noreturn]] void fail(const std::string& rule) const {
    std::string place = fmt::format("kernel {}", kernel_.name);
    if (!where_.empty()) place += ": " + where_;
    if (instruction_ != nullptr) place += ": " + describe(*instruction_);
    PLAIT_UNREACHABLE("{}: {}", place, rule);
  }

  // What the prover leaves open: index lies in [0, size) if `goal` is never negative.
  void try_out(Expr goal, Expr index, Expr size) const {
    std::string point;
    const std::optional<bool> holds = facts_.search_nonnegative(goal, point);
    check(holds != false, "leaves [0, {}): it is {} at{}", to_string(size), to_string(index),
          point);
    if (holds) return;
    PLAIT_LOG(info, "kernel {}: index {} lies in [0, {}) at all points tried, without proof",
              kernel_.name, to_string(index), to_string(size));
  }

  // As in a dump, with variables by number.
  std::string describe(const Instruction& i) const {
    std::string text = i.result == kNone ? "" : fmt::format("%{} = ", i.result);
    text += i.op == Op::loop ? name_of(i.loop_kind) : name_of(i.op);
    for (ValueId v : i.operands) text += fmt::format(" %{}", v);
    if (class_of(i.op) == OpClass::memory && i.buffer < kernel_.buffers.size())
      text += fmt::format(" {}[{}]", kernel_.buffers[i.buffer].name, to_string(i.expression));
    if (i.op == Op::loop || i.op == Op::bind)
      text += fmt::format(" i{} < {}", i.variable, to_string(i.expression));
    return text;
  }

  void verify_symbols() const {
    for (size_t i = 0; i < kernel_.symbols.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        check(kernel_.symbols[i] != kernel_.symbols[j], "size {} is listed twice",
              kernel_.symbols[i]);
  }

  void verify_buffers() const {
    for (size_t i = 0; i < kernel_.buffers.size(); ++i) {
      const Buffer& b = kernel_.buffers[i];
      check(is_identifier(b.name), "`{}` is no name for a buffer", b.name);
      for (size_t j = 0; j < i; ++j)
        check(b.name != kernel_.buffers[j].name, "two buffers are named {}", b.name);
      verify_expression(b.size);
      check(i == 0 || rank(kernel_.buffers[i - 1].scope) <= rank(b.scope),
            "buffer {}: parameters come first, then workspaces, then the others", b.name);
      if (b.scope != BufferScope::registers && b.scope != BufferScope::tiles) continue;
      const auto size = b.size.constant();
      if (b.scope == BufferScope::tiles) {
        check(size.has_value() && *size >= 0 && *size % kTileElements == 0,
              "buffer {}: {} elements do not form tiles", b.name, to_string(b.size));
        check(b.dtype == DType::f32 || b.dtype == DType::u32, "buffer {}: tiles of {}", b.name,
              dtype_name(b.dtype));
        continue;
      }
      check(size.has_value(), "buffer {}: registers need a constant size", b.name);
      check(1 <= b.lanes && b.lanes <= kMaxVectorExtent && *size % b.lanes == 0 && *size >= 0,
            "buffer {}: {} elements do not form values of {} lanes", b.name, *size, b.lanes);
    }
  }

  static int rank(BufferScope scope) {
    switch (scope) {
      case BufferScope::parameter:
        return 0;
      case BufferScope::workspace:
        return 1;
      case BufferScope::local:
      case BufferScope::registers:
      case BufferScope::tiles:
        return 2;
    }
    PLAIT_UNREACHABLE("buffer scope {}", static_cast<int>(scope));
  }

  void verify_expression(Expr e) const {
    check(!contains_element(e), "{} reads a tensor", to_string(e));
    for (uint32_t v : variables_of(e))
      check(v < variables_.size() && variables_[v].role != Role::undefined,
            "variable i{} of {} is not in scope", v, to_string(e));
    for (Expr symbol : symbols_of(e))
      check(std::find(kernel_.symbols.begin(), kernel_.symbols.end(), symbol.name()) !=
                kernel_.symbols.end(),
            "size {} is not passed to the kernel", symbol.name());
  }

  void define_variable(uint32_t id, Expr extent, Role role) {
    check(id < variables_.size(), "variable i{} is beyond next_variable", id);
    check(!is_defined_variable_[id], "variable i{} is defined twice", id);
    is_defined_variable_[id] = true;
    variables_[id] = {role, extent};
    facts_.add_variable(id, extent);
  }
  void leave(uint32_t id) { variables_[id].role = Role::undefined; }

  void verify(const Block& block) {
    std::vector<ValueId> values;
    std::vector<uint32_t> bound;
    const Facts::Mark mark = facts_.mark();
    for (const Instruction& i : block) {
      instruction_ = &i;
      verify_operands(i);
      verify(i);
      instruction_ = nullptr;
      if (i.result != kNone) {
        definitions_[i.result] = &i;
        is_visible_[i.result] = true;
        values.push_back(i.result);
      }
      if (i.op == Op::bind) bound.push_back(i.variable);
    }
    for (ValueId v : values) is_visible_[v] = false;
    for (uint32_t v : bound) leave(v);
    facts_.release(mark);
  }

  void verify_operands(const Instruction& i) const {
    std::vector<DType> operands;
    for (ValueId v : i.operands) {
      check(v < is_visible_.size() && is_visible_[v], "operand %{} is not defined here", v);
      operands.push_back(kernel_.type(v));
    }
    check(has_result(i.op) == (i.result != kNone), "a result where there is none, or none");
    DType result{};
    if (i.result != kNone) {
      check(i.result < kernel_.value_types.size(), "%{} has no type", i.result);
      check(definitions_[i.result] == nullptr, "%{} is defined twice", i.result);
      result = kernel_.type(i.result);
    }
    const std::string error = type_error(i.op, operands, result);
    check(error.empty(), "{}", error);
    check(i.body.empty() || i.op == Op::loop || i.op == Op::when || i.op == Op::flush,
          "has a body");
    if (flushes_ && result_is_float(i)) {
      const bool moves = i.op == Op::load || i.op == Op::constant || i.op == Op::select ||
                         class_of(i.op) == OpClass::conversion;
      const bool sums = i.op == Op::add || class_of(i.op) == OpClass::ternary;
      check(moves || (sums && result == DType::f32), "computes a float below a flush");
    }
    check(flushes_ || i.op != Op::pair_dot, "outside a flush");
  }

  bool result_is_float(const Instruction& i) const {
    return i.result != kNone && is_float(kernel_.type(i.result));
  }

  void verify(const Instruction& i) {
    switch (class_of(i.op)) {
      case OpClass::immediate:
        if (i.op == Op::index) verify_expression(i.expression);
        check(i.op != Op::constant || i.immediate.dtype() == kernel_.type(i.result),
              "the immediate is {}", dtype_name(i.immediate.dtype()));
        return;
      case OpClass::memory:
        return verify_memory(i);
      case OpClass::tile:
        return verify_tile(i);
      case OpClass::structure:
        return verify_structure(i);
      case OpClass::unary:
      case OpClass::binary:
      case OpClass::comparison:
      case OpClass::ternary:
      case OpClass::select:
      case OpClass::conversion:
      case OpClass::draw:
        return;
    }
    PLAIT_UNREACHABLE("kernel op {}", static_cast<int>(i.op));
  }

  void verify_structure(const Instruction& i) {
    if (i.op == Op::loop) return verify_loop(i);
    if (i.op == Op::flush) {
      check(!flushes_ && !vector_variable_, "inside another flush or a vector loop");
      flushes_ = true;
      verify(i.body);
      flushes_ = false;
      return;
    }
    if (i.op == Op::when) {
      const Facts::Mark mark = facts_.mark();
      add_condition(i.operands[0]);
      masks_ += vector_variable_ ? 1 : 0;
      verify(i.body);
      masks_ -= vector_variable_ ? 1 : 0;
      facts_.release(mark);
      return;
    }
    verify_expression(i.expression);
    if (i.op == Op::bind) define_variable(i.variable, i.expression, Role::bound);
    if (i.op == Op::report)
      check(i.site < kernel_.sites.size(), "there is no error site {}", i.site);
  }

  void verify_loop(const Instruction& i) {
    verify_expression(i.expression);
    const auto extent = i.expression.constant();
    const bool is_vector = i.loop_kind == LoopKind::vector;
    if (i.loop_kind != LoopKind::serial) check(extent.has_value(), "needs a constant extent");
    if (is_vector) {
      check(1 <= *extent && *extent <= kMaxVectorExtent, "an extent from 1 to {}",
            kMaxVectorExtent);
      check(!vector_variable_, "inside another vector loop");
      vector_variable_ = i.variable;
      vector_accesses_.clear();
    }
    const Facts::Mark mark = facts_.mark();
    const Role role = is_vector                           ? Role::vector
                      : i.loop_kind == LoopKind::unrolled ? Role::unrolled
                                                          : Role::serial;
    define_variable(i.variable, i.expression, role);
    verify(i.body);
    leave(i.variable);
    facts_.release(mark);
    if (!is_vector) return;
    vector_variable_.reset();
    verify_lanes(i.variable, *extent);
  }

  void add_condition(ValueId v) {
    const Instruction* i = definitions_[v];
    if (i->op == Op::bit_and) {
      add_condition(i->operands[0]);
      add_condition(i->operands[1]);
    }
    if (i->op != Op::lt && i->op != Op::le) return;
    const auto a = index_of(i->operands[0]);
    const auto b = index_of(i->operands[1]);
    if (!a || !b) return;
    facts_.add_nonnegative(*b - *a - (i->op == Op::lt ? 1 : 0));
  }

  // The expression of an index value or an i64 constant.
  std::optional<Expr> index_of(ValueId v) const {
    const Instruction& i = *definitions_[v];
    if (i.op == Op::index) return i.expression;
    if (i.op == Op::constant && i.immediate.dtype() == DType::i64) return i.immediate.as_int();
    return std::nullopt;
  }

  void verify_memory(const Instruction& i) {
    check(i.buffer < kernel_.buffers.size(), "there is no buffer {}", i.buffer);
    const Buffer& b = kernel_.buffers[i.buffer];
    if (i.op == Op::transpose) {
      check(b.scope == BufferScope::registers && b.size == Expr(int64_t{b.lanes} * b.lanes),
            "transpose needs a square register tile");
      check(!vector_variable_, "transpose in a vector loop");
      return;
    }
    verify_expression(i.expression);
    if (i.op == Op::prefetch) {
      check(b.scope == BufferScope::parameter && !vector_variable_,
            "prefetch takes a parameter, outside vector loops");
      return;
    }
    const bool is_store = i.op == Op::store;
    const ValueId value = is_store ? i.operands[0] : i.result;
    check(kernel_.type(value) == b.dtype, "the buffer holds {}", dtype_name(b.dtype));
    if (b.scope == BufferScope::parameter)
      check(is_store ? b.access != Access::read
                     : b.access == Access::read || b.access == Access::read_write,
            "the access that the parameter declares does not allow this");
    if (!facts_.proves_in_range(i.expression, b.size)) {
      try_out(i.expression, i.expression, b.size);
      try_out(b.size - i.expression - 1, i.expression, b.size);
    }
    if (b.scope == BufferScope::registers) verify_register_index(i, b);
    if (!vector_variable_) return;
    const auto linear = linear_in(i.expression, *vector_variable_);
    if (linear) vector_accesses_.push_back({&i, *linear, masks_ > 0});
  }

  void verify_tile(const Instruction& i) {
    check(!vector_variable_, "in a vector loop");
    const size_t places = i.op == Op::tile_zero ? 1 : i.op == Op::tile_dot ? 3 : 2;
    check(i.places.size() == places, "{} places, not {}", places, i.places.size());
    for (size_t k = 0; k < places; ++k) {
      const Place& place = i.places[k];
      check(place.buffer < kernel_.buffers.size(), "there is no buffer {}", place.buffer);
      verify_expression(place.at);
      const Buffer& b = kernel_.buffers[place.buffer];
      const bool memory = (i.op == Op::tile_load && k == 1) || (i.op == Op::tile_store && k == 0);
      if (memory) {
        verify_rows(i, place, b);
        continue;
      }
      check(b.scope == BufferScope::tiles, "{} holds no tiles", b.name);
      const bool sums = i.op == Op::tile_dot && k == 0;
      check(i.op != Op::tile_dot || b.dtype == (sums ? DType::f32 : DType::u32), "{} holds {}",
            b.name, dtype_name(b.dtype));
      for (uint32_t v : variables_of(place.at))
        check(variables_[v].role == Role::unrolled, "the tile depends on variable i{}", v);
      check(is_multiple_of(place.at, kTileElements), "{} is no tile", to_string(place.at));
      check(facts_.proves_in_range(place.at, b.size), "leaves {}", b.name);
    }
  }

  // Every element that a tile takes from memory or gives to it.
  void verify_rows(const Instruction& i, const Place& place, const Buffer& b) {
    const auto size = static_cast<int64_t>(dtype_size(b.dtype));
    check(b.scope != BufferScope::registers && b.scope != BufferScope::tiles, "{} is no memory",
          b.name);
    const bool is_store = i.op == Op::tile_store;
    if (b.scope == BufferScope::parameter)
      check(is_store ? b.access != Access::read
                     : b.access == Access::read || b.access == Access::read_write,
            "the access that the parameter declares does not allow this");
    check(!is_store || size == 4, "a store to {}", dtype_name(b.dtype));
    for (Expr e : {i.pitch, i.rows, i.columns}) verify_expression(e);
    const Expr rows = is_store ? Expr(kTileRows) : i.rows;
    const Expr columns = is_store ? Expr(kTileRowBytes / size) : i.columns;
    check(facts_.proves_nonnegative(kTileRows - rows) &&
              facts_.proves_nonnegative(kTileRowBytes / size - columns),
          "takes more than a tile holds");
    const Facts::Mark mark = facts_.mark();
    const auto row = static_cast<uint32_t>(variables_.size()), column = row + 1;
    facts_.add_variable(row, rows);
    facts_.add_variable(column, columns);
    const Expr index = place.at + Expr::variable(row) * i.pitch + Expr::variable(column);
    if (!facts_.proves_in_range(index, b.size)) {
      try_out(index, index, b.size);
      try_out(b.size - index - 1, index, b.size);
    }
    facts_.release(mark);
  }

  // Tries the unrolled variables at all their values: c must be the same number plus multiples of
  // theirs, so the ends of c mod lanes follow from each combination.
  void verify_register_index(const Instruction& i, const Buffer& b) {
    Expr rest = i.expression;
    int64_t extent = 1;
    if (vector_variable_) {
      const auto linear = linear_in(rest, *vector_variable_);
      check(linear && (linear->coefficient.is_constant(0) || linear->coefficient.is_constant(1)),
            "a register index moves with the vector variable by 1 or 0");
      if (linear->coefficient.is_constant(1))
        extent = *variables_[*vector_variable_].extent.constant();
      rest = linear->rest;
    }
    for (uint32_t v : variables_of(rest))
      check(variables_[v].role == Role::unrolled,
            "a register index depends on variable i{}, which is not unrolled", v);
    check(symbols_of(rest).empty(), "a register index depends on a size");
    verify_lanes_of(rest, extent, b.lanes);
  }

  void verify_lanes_of(Expr c, int64_t extent, int64_t lanes) {
    const std::vector<uint32_t> variables = variables_of(c);
    if (extent == 1 || (extent == lanes && is_multiple_of(c, lanes))) return;
    std::vector<int64_t> values(variables.size(), 0);
    while (true) {
      Substitution substitution;
      for (size_t k = 0; k < values.size(); ++k) substitution.emplace(variables[k], values[k]);
      const int64_t start = *substitute(c, substitution).constant();
      check(start % lanes + extent <= lanes,
            "elements {} to {} do not lie in one value of {} lanes", start, start + extent - 1,
            lanes);
      size_t k = 0;
      while (k < values.size() && ++values[k] == *variables_[variables[k]].extent.constant())
        values[k++] = 0;
      if (k == values.size()) return;
    }
  }

  // Lanes of a vector loop do not touch what another lane stores.
  void verify_lanes(uint32_t variable, int64_t extent) {
    for (const VectorAccess& store : vector_accesses_) {
      if (store.instruction->op != Op::store || store.is_masked) continue;
      instruction_ = store.instruction;
      for (const VectorAccess& other : vector_accesses_) {
        if (other.instruction->buffer != store.instruction->buffer || other.is_masked) continue;
        const auto c = store.index.coefficient.constant();
        const auto distance = (other.index.rest - store.index.rest).constant();
        if (!c || !distance || !(other.index.coefficient == store.index.coefficient)) continue;
        const bool meets =
            *c == 0 ? *distance == 0 && extent > 1
                    : *distance % *c == 0 && *distance != 0 && std::abs(*distance / *c) < extent;
        check(!meets, "lanes of vector variable i{} depend on each other through {}", variable,
              describe(*other.instruction));
      }
      instruction_ = nullptr;
    }
  }

  const Kernel& kernel_;
  std::vector<const Instruction*> definitions_;  // by value; stays after the scope ends
  std::vector<bool> is_visible_;
  std::vector<bool> is_defined_variable_;
  std::vector<Variable> variables_;
  Facts facts_;
  std::optional<uint32_t> vector_variable_;
  std::vector<VectorAccess> vector_accesses_;
  bool flushes_ = false;
  int masks_ = 0;  // `when`s between the vector loop and here
  std::string where_;
  const Instruction* instruction_ = nullptr;
};

}  // namespace

void verify(const Kernel& kernel) { Verifier(kernel).verify(); }

}  // namespace plait::kernel

// Prints kernels. The grammar, two spaces a level, `#` starts a comment:
//
//   kernel NAME [sizes(NAME LO..HI [multiple N], …)]
//     buffer NAME: DTYPE[EXPR] (read|write|read_write|stream|workspace|local|registers lanes N
//                                 |tiles)
//     site "TEXT" axis N extent EXPR
//     phase VARIABLE < EXPR [cost NUMBER]:
//       BODY
//
// A line of a body is one of
//   %N = OP OPERAND, … : DTYPE     arithmetic: the dtype is that of the operands (of select: of the
//                                  two values; of pair_dot: of the sum); cast, bitcast and
//                                  constant: that of the result
//   %N = NAME[EXPR]                load
//   NAME[EXPR] = OPERAND           store
//   %N = index EXPR
//   prefetch NAME[EXPR]
//   transpose NAME
//   tile_zero NAME[EXPR]
//   tile_load NAME[EXPR] = NAME[EXPR] pitch EXPR rows EXPR columns EXPR
//   tile_store NAME[EXPR] = NAME[EXPR] pitch EXPR
//   tile_dot NAME[EXPR] += NAME[EXPR] * NAME[EXPR]
//   (loop|unrolled|vector) VARIABLE < EXPR:
//   flush:
//   when CONDITION:                CONDITION: `a < b`, `a <= b` between index expressions or a
//                                  value, or several joined by `and`
//   bind VARIABLE < EXPR = OPERAND
//   report site N when OPERAND: value OPERAND at EXPR
//
// OPERAND is a value `%N`, a number or word that stands for a constant, or `[EXPR]`: an index
// value. Constants, index values used once, and conditions used once are printed where they are
// used, so parsing puts them there. Variables are named by their role; numbers and names follow
// from the program order, so that equal kernels print equally.
#include <algorithm>

#include "core/error.h"
#include "jit/kernel/kir.h"
#include "jit/kernel/types.h"

namespace plait::kernel {

namespace {

const char* name_of(BufferScope scope, Access access) {
  switch (scope) {
    case BufferScope::parameter:
      return name_of(access);
    case BufferScope::workspace:
      return "workspace";
    case BufferScope::local:
      return "local";
    case BufferScope::registers:
      return "registers";
    case BufferScope::tiles:
      return "tiles";
  }
  PLAIT_UNREACHABLE("buffer scope {}", static_cast<int>(scope));
}

// Who uses a value: the count, and the user if there is one only.
struct Uses {
  size_t count = 0;
  size_t in_text = 0;  // uses where the line tells the dtype of a constant
  const Instruction* user = nullptr;
  size_t operand = 0;
};

bool tells_dtype(Op op) {
  switch (class_of(op)) {
    case OpClass::unary:
    case OpClass::binary:
    case OpClass::comparison:
    case OpClass::ternary:
    case OpClass::select:
    case OpClass::draw:
      return true;
    case OpClass::memory:
      return op == Op::store;
    case OpClass::immediate:
    case OpClass::conversion:
    case OpClass::tile:
    case OpClass::structure:
      return false;
  }
  PLAIT_UNREACHABLE("kernel op {}", static_cast<int>(op));
}

class Printer {
 public:
  explicit Printer(const Kernel& kernel)
      : kernel_(kernel),
        uses_(kernel.value_types.size()),
        absorbed_(kernel.value_types.size(), false),
        definitions_(kernel.value_types.size(), nullptr),
        numbers_(kernel.value_types.size(), 0) {}

  std::string print() {
    out_ = "kernel " + kernel_.name;
    if (!kernel_.symbols.empty()) out_ += fmt::format(" sizes({})", symbols());
    out_ += '\n';
    for (const Buffer& buffer : kernel_.buffers) {
      line("buffer {}: {}[{}] {}", buffer.name, dtype_name(buffer.dtype), text(buffer.size),
           name_of(buffer.scope, buffer.access));
      if (buffer.scope == BufferScope::registers) append(" lanes {}", buffer.lanes);
    }
    for (const ErrorSite& site : kernel_.sites)
      line("site \"{}\" axis {} extent {}", site.op, site.axis, text(site.extent));
    for (const Phase& phase : kernel_.phases) {
      find_uses(phase.body);
      find_absorbed(phase.body);
      const std::string extent = text(phase.extent);
      line("phase {} < {}", define_variable(phase.variable, "r"), extent);
      if (phase.cost != 0) append(" cost {}", phase.cost);
      out_ += ':';
      print(phase.body);
      in_scope_.pop_back();
    }
    if (out_.back() != '\n') out_ += '\n';
    return std::move(out_);
  }

 private:
  template <class... T>
  void line(fmt::format_string<T...> format, T&&... values) {
    if (out_.back() != '\n') out_ += '\n';
    out_.append(2 * (depth_ + 1), ' ');
    append(format, std::forward<T>(values)...);
  }
  template <class... T>
  void append(fmt::format_string<T...> format, T&&... values) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<T>(values)...);
  }

  std::string symbols() const {
    std::string list;
    for (const std::string& name : kernel_.symbols) {
      const Expr symbol = parse_expr(name);
      if (!list.empty()) list += ", ";
      list += fmt::format("{} {}..{}", name, symbol.symbol_lo(), symbol.symbol_hi());
      if (symbol.symbol_multiple() != 1)
        list += fmt::format(" multiple {}", symbol.symbol_multiple());
    }
    return list;
  }

  void find_uses(const Block& block) {
    for_each_instruction(block, [&](const Instruction& i) {
      for (size_t k = 0; k < i.operands.size(); ++k) {
        PLAIT_INTERNAL_CHECK(i.operands[k] < uses_.size(), "kernel {}: operand {} of {}",
                             kernel_.name, i.operands[k], kernel::name_of(i.op));
        Uses& uses = uses_[i.operands[k]];
        ++uses.count;
        if (tells_dtype(i.op)) ++uses.in_text;
        uses.user = &i;
        uses.operand = k;
      }
      if (i.result != kNone) definitions_[i.result] = &i;
    });
  }

  // Users come after definitions, so the sweep goes backwards.
  void find_absorbed(const Block& block) {
    std::vector<const Instruction*> order;
    for_each_instruction(block, [&](const Instruction& i) { order.push_back(&i); });
    for (auto i = order.rbegin(); i != order.rend(); ++i)
      if ((*i)->result != kNone) absorbed_[(*i)->result] = is_absorbed(**i);
  }

  bool is_absorbed(const Instruction& i) const {
    const Uses& uses = uses_[i.result];
    if (i.op == Op::constant) return uses.count > 0 && uses.count == uses.in_text;
    if (uses.count != 1) return false;
    if (i.op == Op::index) return true;
    const bool in_condition =
        uses.user->op == Op::when || (uses.user->op == Op::bit_and && absorbed_[uses.user->result]);
    if (!in_condition) return false;
    if (i.op == Op::bit_and) return uses.user->op == Op::when || uses.operand == 0;
    return (i.op == Op::lt || i.op == Op::le) && is_inline_index(i.operands[0]) &&
           is_inline_index(i.operands[1]);
  }

  bool is_inline_index(ValueId v) const {
    return definitions_[v] != nullptr && definitions_[v]->op == Op::index && uses_[v].count == 1;
  }

  void print(const Block& block) {
    ++depth_;
    const size_t outer = in_scope_.size();
    for (const Instruction& i : block)
      if (i.result == kNone || !absorbed_[i.result]) print(i);
    in_scope_.resize(outer);
    --depth_;
  }

  void print(const Instruction& i) {
    switch (class_of(i.op)) {
      case OpClass::immediate:
        if (i.op == Op::index) {
          line("{} = index {}", define(i), text(i.expression));
        } else {
          line("{} = constant {} : {}", define(i), i.immediate.to_string(),
               dtype_name(i.immediate.dtype()));
        }
        return;
      case OpClass::unary:
      case OpClass::binary:
      case OpClass::comparison:
      case OpClass::ternary:
      case OpClass::select:
      case OpClass::draw:
        return print_arithmetic(i, kernel_.type(i.operands.back()));
      case OpClass::conversion:
        return print_arithmetic(i, kernel_.type(i.result));
      case OpClass::memory:
        return print_memory(i);
      case OpClass::tile:
        return print_tile(i);
      case OpClass::structure:
        return print_structure(i);
    }
    PLAIT_UNREACHABLE("kernel op {}", static_cast<int>(i.op));
  }

  void print_arithmetic(const Instruction& i, DType dtype) {
    std::string operands;
    for (ValueId v : i.operands) operands += (operands.empty() ? "" : ", ") + operand(v);
    line("{} = {} {} : {}", define(i), kernel::name_of(i.op), operands, dtype_name(dtype));
  }

  void print_memory(const Instruction& i) {
    const std::string& buffer = kernel_.buffers[i.buffer].name;
    if (i.op == Op::load) line("{} = {}[{}]", define(i), buffer, text(i.expression));
    if (i.op == Op::store) line("{}[{}] = {}", buffer, text(i.expression), operand(i.operands[0]));
    if (i.op == Op::prefetch) line("prefetch {}[{}]", buffer, text(i.expression));
    if (i.op == Op::transpose) line("transpose {}", buffer);
  }

  void print_tile(const Instruction& i) {
    std::vector<std::string> places;
    for (const Place& place : i.places)
      places.push_back(fmt::format("{}[{}]", kernel_.buffers[place.buffer].name, text(place.at)));
    line("{} {}", kernel::name_of(i.op), places[0]);
    if (i.op == Op::tile_dot) return append(" += {} * {}", places[1], places[2]);
    if (i.op == Op::tile_zero) return;
    append(" = {} pitch {}", places[1], text(i.pitch));
    if (i.op == Op::tile_load) append(" rows {} columns {}", text(i.rows), text(i.columns));
  }

  void print_structure(const Instruction& i) {
    if (i.op == Op::loop) {
      const std::string extent = text(i.expression);
      line("{} {} < {}:", kernel::name_of(i.loop_kind),
           define_variable(i.variable, role(i.loop_kind)), extent);
      print(i.body);
      in_scope_.pop_back();
    } else if (i.op == Op::flush) {
      line("flush:");
      print(i.body);
    } else if (i.op == Op::when) {
      line("when {}:", condition(i.operands[0]));
      print(i.body);
    } else if (i.op == Op::bind) {
      const std::string extent = text(i.expression);
      line("bind {} < {} = {}", define_variable(i.variable, "b"), extent, operand(i.operands[0]));
    } else if (i.op == Op::report) {
      line("report site {} when {}: value {} at {}", i.site, operand(i.operands[0]),
           operand(i.operands[1]), text(i.expression));
    }
  }

  static const char* role(LoopKind kind) {
    switch (kind) {
      case LoopKind::serial:
        return "s";
      case LoopKind::unrolled:
        return "u";
      case LoopKind::vector:
        return "l";
    }
    PLAIT_UNREACHABLE("loop kind {}", static_cast<int>(kind));
  }

  std::string define(const Instruction& i) {
    numbers_[i.result] = ++values_;
    return fmt::format("%{}", values_);
  }

  std::string operand(ValueId v) const {
    if (!absorbed_[v]) return fmt::format("%{}", numbers_[v]);
    const Instruction& i = *definitions_[v];
    return i.op == Op::constant ? i.immediate.to_string() : fmt::format("[{}]", text(i.expression));
  }

  std::string condition(ValueId v) const {
    if (!absorbed_[v]) return operand(v);
    const Instruction& i = *definitions_[v];
    if (i.op == Op::bit_and)
      return fmt::format("{} and {}", condition(i.operands[0]), condition(i.operands[1]));
    return fmt::format("{} {} {}", text(definitions_[i.operands[0]]->expression),
                       i.op == Op::lt ? "<" : "<=", text(definitions_[i.operands[1]]->expression));
  }

  // The next free name of this role; the variable gets the next number.
  std::string define_variable(uint32_t id, const std::string& role) {
    std::string name = role;
    for (size_t n = 1; is_taken(name); ++n) name = fmt::format("{}{}", role, n);
    in_scope_.push_back(name);
    renumbered_.insert_or_assign(id, Expr::variable(static_cast<uint32_t>(names_.size())));
    names_.push_back(name);
    return name;
  }

  bool is_taken(const std::string& name) const {
    const auto in = [&](const std::vector<std::string>& list) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    return in(in_scope_) || in(kernel_.symbols);
  }

  std::string text(Expr e) const {
    return to_string(substitute(e, renumbered_), [this](uint32_t id) {
      return id < names_.size() ? names_[id] : fmt::format("undefined{}", id);
    });
  }

  const Kernel& kernel_;
  std::vector<Uses> uses_;
  std::vector<bool> absorbed_;  // printed where it is used
  std::vector<const Instruction*> definitions_;
  std::vector<size_t> numbers_;
  size_t values_ = 0;
  Substitution renumbered_;
  std::vector<std::string> names_;  // by new number
  std::vector<std::string> in_scope_;
  size_t depth_ = 0;
  std::string out_;
};

}  // namespace

std::string to_text(const Kernel& kernel) { return Printer(kernel).print(); }

}  // namespace plait::kernel

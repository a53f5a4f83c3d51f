// Parses the text form; text.cpp has the grammar.
#include <algorithm>
#include <map>
#include <optional>

#include "core/error.h"
#include "jit/kernel/cursor.h"
#include "jit/kernel/kir.h"
#include "jit/kernel/types.h"

namespace plait::kernel {

namespace {

// An operand as written: a value, or the text of a constant whose dtype the line tells later.
struct Operand {
  ValueId value = kNone;
  std::string_view literal;
  size_t position = 0;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : lines_(split(text)) {}

  Kernel parse() {
    header();
    while (next_ < lines_.size()) {
      const Line& line = lines_[next_];
      Cursor c(line);
      if (line.indent != 2)
        c.fail(fmt::format("expected an indentation of 2, not {}", line.indent));
      ++next_;
      const std::string_view word = c.name();
      if (word == "buffer") {
        buffer(c);
      } else if (word == "site") {
        site(c);
      } else if (word == "phase") {
        phase(c);
      } else {
        c.fail_at(0, fmt::format("expected buffer, site or phase, not `{}`", word));
      }
    }
    return std::move(kernel_);
  }

 private:
  static std::vector<Line> split(std::string_view text) {
    std::vector<Line> lines;
    for (size_t number = 1; !text.empty(); ++number) {
      const size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      line = line.substr(0, comment_start(line));
      const size_t indent = line.find_first_not_of(' ');
      if (indent == std::string_view::npos) continue;
      line = line.substr(indent, line.find_last_not_of(" \r") + 1 - indent);
      lines.push_back({line, number, indent});
    }
    return lines;
  }

  // A `#` inside a quoted text is none.
  static size_t comment_start(std::string_view line) {
    bool inside = false;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '"') inside = !inside;
      if (line[i] == '#' && !inside) return i;
    }
    return line.size();
  }

  void header() {
    static const Line kNothing{"", 1, 0};
    Cursor c(lines_.empty() ? kNothing : lines_[0]);
    if (!lines_.empty() && lines_[0].indent != 0) c.fail("expected no indentation");
    c.expect_word("kernel");
    kernel_.name = c.name();
    if (c.accept_word("sizes")) {
      c.expect('(');
      do size(c);
      while (c.accept(','));
      c.expect(')');
    }
    c.expect_end();
    ++next_;
  }

  void size(Cursor& c) {
    const std::string name(c.name());
    const size_t position = c.position();
    if (symbols_.contains(name)) c.fail(fmt::format("`{}` is a size already", name));
    const int64_t lo = c.integer();
    c.expect('.');
    c.expect('.');
    const int64_t hi = c.integer();
    const int64_t multiple = c.accept_word("multiple") ? c.integer() : 1;
    at(c, position, [&] { symbols_.emplace(name, Expr::symbol(name, lo, hi, multiple)); });
    kernel_.symbols.push_back(name);
  }

  // Runs f; what core finds wrong gets the place.
  template <class F>
  void at(const Cursor& c, size_t position, F&& f) {
    try {
      f();
    } catch (const UserError& error) {
      c.fail_at(position, error.what());
    }
  }

  void buffer(Cursor& c) {
    Buffer b;
    b.name = c.name();
    if (buffers_.contains(b.name)) c.fail(fmt::format("`{}` is a buffer already", b.name));
    c.expect(':');
    b.dtype = dtype(c);
    c.expect('[');
    b.size = expression(c);
    c.expect(']');
    const size_t position = c.position();
    const std::string_view role = c.name();
    constexpr Access kAccesses[] = {Access::read, Access::write, Access::read_write,
                                    Access::stream};
    const auto* access = std::find_if(std::begin(kAccesses), std::end(kAccesses),
                                      [&](Access a) { return role == name_of(a); });
    if (access != std::end(kAccesses)) {
      b.access = *access;
    } else if (role == "workspace") {
      b.scope = BufferScope::workspace;
    } else if (role == "local") {
      b.scope = BufferScope::local;
    } else if (role == "registers") {
      b.scope = BufferScope::registers;
      c.expect_word("lanes");
      b.lanes = index_number(c);
    } else if (role == "tiles") {
      b.scope = BufferScope::tiles;
    } else {
      c.fail_at(position, fmt::format("expected read, write, read_write, stream, workspace, "
                                      "local, registers or tiles, not `{}`",
                                      role));
    }
    c.expect_end();
    buffers_.emplace(b.name, static_cast<BufferId>(kernel_.buffers.size()));
    kernel_.buffers.push_back(std::move(b));
  }

  void site(Cursor& c) {
    ErrorSite site{c.quoted(), 0, 0};
    c.expect_word("axis");
    site.axis = c.integer();
    c.expect_word("extent");
    site.extent = expression(c);
    c.expect_end();
    kernel_.sites.push_back(std::move(site));
  }

  void phase(Cursor& c) {
    Phase phase{0, 0, {}, 0};
    const std::string name = header_variable(c, phase.extent);
    if (c.accept_word("cost")) phase.cost = c.real();
    c.expect(':');
    c.expect_end();
    phase.variable = define_variable(name);
    phase.body = block(4);
    undefine_variable();
    kernel_.phases.push_back(std::move(phase));
  }

  // `NAME < EXPR`: the name, not in scope yet.
  std::string header_variable(Cursor& c, Expr& extent) {
    const size_t position = c.position();
    const std::string name(c.name());
    if (variables_.contains(name) || symbols_.contains(name))
      c.fail_at(position + 1, fmt::format("`{}` is in use", name));
    c.expect('<');
    extent = expression(c);
    return name;
  }

  uint32_t define_variable(const std::string& name) {
    variables_.emplace(name, kernel_.next_variable);
    variable_scope_.push_back(name);
    return kernel_.next_variable++;
  }

  void undefine_variable() {
    variables_.erase(variable_scope_.back());
    variable_scope_.pop_back();
  }

  // The lines indented by `indent`. Values and variables defined there end with them.
  Block block(size_t indent) {
    Block body;
    const size_t outer_values = value_scope_.size();
    const size_t outer_variables = variable_scope_.size();
    while (next_ < lines_.size() && lines_[next_].indent >= indent) {
      Cursor c(lines_[next_]);
      if (lines_[next_].indent != indent)
        c.fail(fmt::format("expected an indentation of {}, not {}", indent, lines_[next_].indent));
      ++next_;
      instruction(c, indent, body);
    }
    for (; value_scope_.size() > outer_values; value_scope_.pop_back())
      values_.erase(value_scope_.back());
    for (; variable_scope_.size() > outer_variables; variable_scope_.pop_back())
      variables_.erase(variable_scope_.back());
    return body;
  }

  void instruction(Cursor& c, size_t indent, Block& body) {
    if (c.peek() == '%') return definition(c, body);
    const std::string_view word = c.name();
    if (c.is_next('[')) return store(c, word, body);
    Instruction i;
    if (word == "loop" || word == "unrolled" || word == "vector") {
      i.op = Op::loop;
      i.loop_kind = word == "loop"       ? LoopKind::serial
                    : word == "unrolled" ? LoopKind::unrolled
                                         : LoopKind::vector;
      const std::string name = header_variable(c, i.expression);
      c.expect(':');
      c.expect_end();
      i.variable = define_variable(name);
      i.body = block(indent + 2);
      undefine_variable();
    } else if (word == "when") {
      i.op = Op::when;
      i.operands = {condition(c, body)};
      c.expect(':');
      c.expect_end();
      i.body = block(indent + 2);
    } else if (word == "flush") {
      i.op = Op::flush;
      c.expect(':');
      c.expect_end();
      i.body = block(indent + 2);
    } else if (word == "bind") {
      i.op = Op::bind;
      const std::string name = header_variable(c, i.expression);
      c.expect('=');
      i.operands = {value(c, body)};
      c.expect_end();
      i.variable = define_variable(name);
    } else if (word == "report") {
      report(c, i, body);
    } else if (word == "prefetch") {
      i.op = Op::prefetch;
      i.buffer = buffer_id(c, c.name());
      i.expression = address(c);
      c.expect_end();
    } else if (word == "transpose") {
      i.op = Op::transpose;
      i.buffer = buffer_id(c, c.name());
      c.expect_end();
    } else if (word.starts_with("tile_")) {
      tile(c, word, i);
    } else {
      c.fail_at(0, fmt::format("unknown statement `{}`", word));
    }
    check_types(c, i, {});
    body.push_back(std::move(i));
  }

  void tile(Cursor& c, std::string_view word, Instruction& i) {
    const std::optional<Op> op = op_named(word);
    if (!op) c.fail_at(0, fmt::format("unknown statement `{}`", word));
    i.op = *op;
    i.places.push_back(place(c));
    if (i.op == Op::tile_dot) {
      c.expect('+');
      c.expect('=');
      i.places.push_back(place(c));
      c.expect('*');
      i.places.push_back(place(c));
    } else if (i.op != Op::tile_zero) {
      c.expect('=');
      i.places.push_back(place(c));
      c.expect_word("pitch");
      i.pitch = expression(c);
    }
    if (i.op == Op::tile_load) {
      c.expect_word("rows");
      i.rows = expression(c);
      c.expect_word("columns");
      i.columns = expression(c);
    }
    c.expect_end();
  }

  Place place(Cursor& c) {
    const BufferId buffer = buffer_id(c, c.name());
    return {buffer, address(c)};
  }

  void report(Cursor& c, Instruction& i, Block& body) {
    i.op = Op::report;
    c.expect_word("site");
    i.site = index_number(c);
    if (i.site >= kernel_.sites.size()) c.fail(fmt::format("there is no site {}", i.site));
    c.expect_word("when");
    const ValueId condition = value(c, body);
    c.expect(':');
    c.expect_word("value");
    i.operands = {condition, value(c, body)};
    c.expect_word("at");
    i.expression = expression(c);
    c.expect_end();
  }

  void store(Cursor& c, std::string_view buffer, Block& body) {
    Instruction i;
    i.op = Op::store;
    i.buffer = buffer_id(c, buffer);
    i.expression = address(c);
    c.expect('=');
    i.operands = {resolve(c, operand(c, body), kernel_.buffers[i.buffer].dtype, body)};
    c.expect_end();
    if (kernel_.type(i.operands[0]) != kernel_.buffers[i.buffer].dtype)
      c.fail_at(
          0, fmt::format("a store of {} to a buffer of {}", dtype_name(kernel_.type(i.operands[0])),
                         dtype_name(kernel_.buffers[i.buffer].dtype)));
    body.push_back(std::move(i));
  }

  // `%N = …`
  void definition(Cursor& c, Block& body) {
    c.expect('%');
    const int64_t number = c.integer();
    if (values_.contains(number)) c.fail(fmt::format("%{} is defined already", number));
    c.expect('=');
    const size_t position = c.position() + 1;
    const std::string_view word = c.name();
    Instruction i;
    DType type{};
    if (c.is_next('[')) {
      i.op = Op::load;
      i.buffer = buffer_id(c, word);
      i.expression = address(c);
      type = kernel_.buffers[i.buffer].dtype;
    } else if (word == "index") {
      i.op = Op::index;
      i.expression = expression(c);
      type = DType::i64;
    } else if (word == "constant") {
      i.op = Op::constant;
      const size_t at_literal = c.position() + 1;
      const std::string_view literal = c.literal();
      c.expect(':');
      type = dtype(c);
      at(c, at_literal, [&] { i.immediate = Scalar::parse(type, literal); });
    } else {
      type = arithmetic(c, word, position, i, body);
    }
    c.expect_end();
    i.result = new_value(type);
    values_.emplace(number, i.result);
    value_scope_.push_back(number);
    check_types(c, i, type);
    body.push_back(std::move(i));
  }

  // Gives the dtype of the result.
  DType arithmetic(Cursor& c, std::string_view word, size_t position, Instruction& i, Block& body) {
    const std::optional<Op> op = op_named(word);
    if (!op || !has_result(*op)) c.fail_at(position, fmt::format("unknown op `{}`", word));
    i.op = *op;
    std::vector<Operand> operands;
    do operands.push_back(operand(c, body));
    while (c.accept(','));
    c.expect(':');
    const DType named = dtype(c);
    const OpClass op_class = class_of(i.op);
    for (size_t k = 0; k < operands.size(); ++k) {
      if (op_class == OpClass::conversion && operands[k].value == kNone)
        c.fail_at(operands[k].position, "expected a value, not a constant");
      const bool is_condition = op_class == OpClass::select && k == 0;
      const DType wanted = is_condition                    ? DType::boolean
                           : i.op == Op::pair_dot && k < 2 ? DType::u32
                                                           : named;
      i.operands.push_back(resolve(c, operands[k], wanted, body));
      if (op_class != OpClass::conversion && !is_condition &&
          kernel_.type(i.operands.back()) != wanted)
        c.fail_at(operands[k].position, fmt::format("an operand of {}, not {}", dtype_name(wanted),
                                                    dtype_name(kernel_.type(i.operands.back()))));
    }
    if (op_class == OpClass::draw) return DType::u32;
    return op_class == OpClass::comparison ? DType::boolean : named;
  }

  static std::optional<Op> op_named(std::string_view word) {
    static const std::map<std::string_view, Op> ops = {
#define PLAIT_KERNEL_OP(name) {#name, Op::name},
#include "jit/kernel/nodes.def"
    };
    const auto found = ops.find(word);
    return found == ops.end() ? std::nullopt : std::optional(found->second);
  }

  // `a < b and %3 and …`: i64 comparisons of index values, joined from the left.
  ValueId condition(Cursor& c, Block& body) {
    ValueId joined = kNone;
    do {
      ValueId next = kNone;
      if (c.peek() == '%') {
        next = value(c, body);
      } else {
        const ValueId a = append(body, Op::index, DType::i64, {}, expression(c));
        c.expect('<');
        const Op op = c.accept('=') ? Op::le : Op::lt;
        const ValueId b = append(body, Op::index, DType::i64, {}, expression(c));
        next = append(body, op, DType::boolean, {a, b}, 0);
      }
      joined =
          joined == kNone ? next : append(body, Op::bit_and, DType::boolean, {joined, next}, 0);
    } while (c.accept_word("and"));
    return joined;
  }

  Operand operand(Cursor& c, Block& body) {
    c.peek();
    Operand operand;
    operand.position = c.position();
    if (c.accept('%')) {
      const int64_t number = c.integer();
      const auto found = values_.find(number);
      if (found == values_.end())
        c.fail_at(operand.position, fmt::format("%{} is not defined here", number));
      operand.value = found->second;
    } else if (c.accept('[')) {
      const Expr e = expression(c);
      c.expect(']');
      operand.value = append(body, Op::index, DType::i64, {}, e);
    } else {
      operand.literal = c.literal();
    }
    return operand;
  }

  // An operand where no dtype is told: no constant.
  ValueId value(Cursor& c, Block& body) {
    const Operand written = operand(c, body);
    if (written.value == kNone) c.fail_at(written.position, "expected a value, not a constant");
    return written.value;
  }

  ValueId resolve(const Cursor& c, const Operand& operand, DType type, Block& body) {
    if (operand.value != kNone) return operand.value;
    const ValueId v = append(body, Op::constant, type, {}, 0);
    at(c, operand.position, [&] { body.back().immediate = Scalar::parse(type, operand.literal); });
    return v;
  }

  ValueId append(Block& body, Op op, DType type, std::vector<ValueId> operands, Expr expression) {
    Instruction i;
    i.op = op;
    i.operands = std::move(operands);
    i.expression = expression;
    i.result = new_value(type);
    body.push_back(std::move(i));
    return body.back().result;
  }

  ValueId new_value(DType type) {
    kernel_.value_types.push_back(type);
    return static_cast<ValueId>(kernel_.value_types.size() - 1);
  }

  void check_types(const Cursor& c, const Instruction& i, DType result) {
    std::vector<DType> operands;
    for (ValueId v : i.operands) operands.push_back(kernel_.type(v));
    const std::string error = type_error(i.op, operands, result);
    if (!error.empty()) c.fail_at(0, fmt::format("{} {}", name_of(i.op), error));
  }

  BufferId buffer_id(const Cursor& c, std::string_view name) const {
    const auto found = buffers_.find(name);
    if (found == buffers_.end()) c.fail(fmt::format("there is no buffer `{}`", name));
    return found->second;
  }

  DType dtype(Cursor& c) {
    c.peek();
    const size_t position = c.position();
    const std::string_view name = c.name();
    const std::optional<DType> type = parse_dtype(name);
    if (!type) c.fail_at(position, fmt::format("there is no dtype `{}`", name));
    return *type;
  }

  uint32_t index_number(Cursor& c) {
    c.peek();
    const size_t position = c.position();
    const int64_t number = c.integer();
    if (number < 0 || number > 0xffff'ffff) c.fail_at(position, "expected a small number");
    return static_cast<uint32_t>(number);
  }

  Expr address(Cursor& c) {
    c.expect('[');
    const Expr e = expression(c);
    c.expect(']');
    return e;
  }

  // Index expressions: sums of products of numbers, names, calls and parentheses.
  Expr expression(Cursor& c) {
    Expr sum = term(c);
    while (true) {
      if (c.accept('+')) {
        sum = sum + term(c);
      } else if (c.accept('-')) {
        sum = sum - term(c);
      } else {
        return sum;
      }
    }
  }

  Expr term(Cursor& c) {
    Expr product = factor(c);
    while (c.accept('*')) product = product * factor(c);
    return product;
  }

  Expr factor(Cursor& c) {
    const char next = c.peek();
    if (is_digit(next)) return c.integer();
    if (c.accept('-')) return -factor(c);
    if (c.accept('(')) {
      const Expr e = expression(c);
      c.expect(')');
      return e;
    }
    if (!is_name_start(next)) c.fail("expected an index expression");
    const size_t position = c.position();
    const std::string_view name = c.name();
    if (c.peek() == '(') return call(c, name, position);
    if (const auto v = variables_.find(name); v != variables_.end())
      return Expr::variable(v->second);
    if (const auto s = symbols_.find(name); s != symbols_.end()) return s->second;
    c.fail_at(position, fmt::format("`{}` is neither a variable here nor a size", name));
  }

  Expr call(Cursor& c, std::string_view name, size_t position) {
    c.expect('(');
    std::vector<Expr> arguments;
    do arguments.push_back(expression(c));
    while (c.accept(','));
    c.expect(')');
    const size_t count = arguments.size();
    if (name == "min" || name == "max") {
      Expr e = arguments[0];
      for (size_t k = 1; k < count; ++k)
        e = name == "min" ? min(e, arguments[k]) : max(e, arguments[k]);
      return e;
    }
    if (name != "floor_div" && name != "mod")
      c.fail_at(position, fmt::format("there is no function `{}`", name));
    if (count != 2) c.fail_at(position, fmt::format("{} takes 2 arguments, not {}", name, count));
    if (arguments[1].is_constant(0)) c.fail_at(position, "division by zero");
    return name == "mod" ? mod(arguments[0], arguments[1]) : floor_div(arguments[0], arguments[1]);
  }

  std::vector<Line> lines_;
  size_t next_ = 0;
  Kernel kernel_;
  std::map<std::string, Expr, std::less<>> symbols_;
  std::map<std::string, BufferId, std::less<>> buffers_;
  // In scope, by name and number; and the names in order of definition.
  std::map<std::string, uint32_t, std::less<>> variables_;
  std::map<int64_t, ValueId> values_;
  std::vector<std::string> variable_scope_;
  std::vector<int64_t> value_scope_;
};

}  // namespace

Kernel parse_kernel(std::string_view text) { return Parser(text).parse(); }

}  // namespace plait::kernel

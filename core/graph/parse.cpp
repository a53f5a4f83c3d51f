// parse_graph: the inverse of to_text.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/graph/text.h"
#include "core/slot.h"

namespace plait {
namespace {

// A cursor in one line.
class LineReader {
 public:
  LineReader(std::string_view line, int number) : line_(line), number_(number) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw UserError(fmt::format("[parse_graph] line {}, column {}: {}; got '{}'", number_,
                                position_ + 1, what, line_.substr(position_)));
  }
  int number() const { return number_; }

  bool at_end() {
    skip_space();
    return position_ == line_.size() || line_[position_] == '#';
  }
  bool peek(char c) {
    skip_space();
    return position_ < line_.size() && line_[position_] == c;
  }
  bool take(std::string_view token) {
    skip_space();
    if (!line_.substr(position_).starts_with(token)) return false;
    const size_t end = position_ + token.size();
    // A word ends where it ends.
    if (is_word(token.back()) && end < line_.size() && is_word(line_[end])) return false;
    position_ = end;
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) fail(fmt::format("expected '{}'", token));
  }
  std::string word(const char* what) {
    skip_space();
    const size_t begin = position_;
    while (position_ < line_.size() && is_word(line_[position_])) ++position_;
    if (begin == position_) fail(fmt::format("expected {}", what));
    return std::string(line_.substr(begin, position_ - begin));
  }
  // Text up to a space.
  std::string run(const char* what) {
    skip_space();
    const size_t begin = position_;
    while (position_ < line_.size() && line_[position_] != ' ') ++position_;
    if (begin == position_) fail(fmt::format("expected {}", what));
    return std::string(line_.substr(begin, position_ - begin));
  }
  template <class T = int64_t>
  T number(const char* what) {
    skip_space();
    T value = 0;
    const char* begin = line_.data() + position_;
    const auto [end, error] = std::from_chars(begin, line_.data() + line_.size(), value);
    if (error != std::errc()) fail(fmt::format("expected {}", what));
    position_ += static_cast<size_t>(end - begin);
    return value;
  }
  std::string string() {
    expect("\"");
    std::string result;
    while (position_ < line_.size() && line_[position_] != '"') {
      char c = line_[position_++];
      if (c == '\\' && position_ < line_.size()) {
        c = line_[position_++];
        if (c == 'n') c = '\n';
      }
      result += c;
    }
    if (position_ == line_.size()) fail("a string has no end");
    ++position_;
    return result;
  }
  // The entries of a bracketed list, split at its own commas.
  std::vector<std::string> list() {
    expect("[");
    std::vector<std::string> entries;
    std::string entry;
    for (int depth = 0; position_ < line_.size(); ++position_) {
      const char c = line_[position_];
      if (depth == 0 && (c == ',' || c == ']')) {
        if (c == ',' || !entry.empty() || !entries.empty()) entries.push_back(entry);
        entry.clear();
        if (c == ',') continue;
        ++position_;
        return entries;
      }
      depth += (c == '[' || c == '(') - (c == ']' || c == ')');
      if (c != ' ' || !entry.empty()) entry += c;
    }
    fail("a list has no end");
  }
  // Everything up to the token.
  std::string before(std::string_view token) {
    skip_space();
    const size_t end = line_.find(token, position_);
    if (end == std::string_view::npos) fail(fmt::format("expected '{}'", token));
    const size_t begin = std::exchange(position_, end);
    return std::string(line_.substr(begin, end - begin));
  }
  // A type: a word and a bracketed list.
  std::string type_text() {
    skip_space();
    const size_t begin = position_;
    word("a type");
    list();
    return std::string(line_.substr(begin, position_ - begin));
  }

 private:
  static bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
  void skip_space() {
    while (position_ < line_.size() && line_[position_] == ' ') ++position_;
  }

  std::string_view line_;
  int number_;
  size_t position_ = 0;
};

template <class T>
std::optional<T> find_name(const std::string& name, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (name == name_of(static_cast<T>(i))) return static_cast<T>(i);
  }
  return std::nullopt;
}

template <class T>
constexpr size_t count_of();
template <>
constexpr size_t count_of<MetaOp>() {
  return 0
#define PLAIT_META_OP(name, kind, ...) +1
#include "core/graph/meta_ops.def"
      ;
}
template <>
constexpr size_t count_of<UnaryOp>() {
  return 0
#define PLAIT_UNARY(name) +1
#include "core/graph/scalar_ops.def"
      ;
}
template <>
constexpr size_t count_of<BinaryOp>() {
  return 0
#define PLAIT_BINARY(name) +1
#include "core/graph/scalar_ops.def"
      ;
}
template <>
constexpr size_t count_of<ReduceOp>() {
  return 0
#define PLAIT_REDUCE(name) +1
#include "core/graph/scalar_ops.def"
      ;
}

class Parser {
 public:
  Graph parse(std::string_view text) {
    bool started = false;
    int number = 0;
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      LineReader line(text.substr(begin, end - begin), ++number);
      begin = end + 1;
      if (line.at_end()) continue;
      if (!started) {
        line.expect("graph");
        started = true;
      } else {
        parse_line(line);
      }
      if (!line.at_end()) line.fail("expected the end of the line");
    }
    PLAIT_CHECK(started, "parse_graph", "the text must start with 'graph'; got no line");
    return std::move(graph_);
  }

 private:
  void parse_line(LineReader& line) {
    if (line.peek('%')) {
      parse_node(line);
    } else if (line.take("dim")) {
      parse_dim(line);
    } else if (line.take("guard")) {
      const Expr a = expression(line, line.before(" == "));
      line.expect("==");
      const Expr b = expression(line, line.before(" \""));
      graph_.add_guard({a, b, line.string()});
    } else if (line.take("output")) {
      std::string name = line.string();
      graph_.add_output(std::move(name), value(line));
    } else {
      line.fail("expected a node, 'dim', 'guard' or 'output'");
    }
  }

  void parse_dim(LineReader& line) {
    const std::string name = line.word("a name");
    const int64_t lo = line.number("the smallest size");
    line.expect("..");
    const int64_t hi = line.number("the largest size");
    const int64_t multiple = line.take("multiple") ? line.number("a number") : 1;
    Expr::symbol(name, lo, hi, multiple);
  }

  // Runs f, putting the line before the text of its errors.
  template <class Function>
  static auto located(const LineReader& line, Function&& f) {
    try {
      return f();
    } catch (const UserError& error) {
      throw UserError(fmt::format("[parse_graph] line {}: {}", line.number(), error.what()));
    }
  }

  static Expr expression(const LineReader& line, const std::string& text) {
    return located(line, [&] { return parse_expr(text); });
  }

  template <class T>
  static T function(LineReader& line, const char* what) {
    const std::string name = line.word(what);
    const std::optional<T> found = find_name<T>(name, count_of<T>());
    if (!found) line.fail(fmt::format("unknown {} '{}'", what, name));
    return *found;
  }

  Value value(LineReader& line) {
    line.expect("%");
    const std::string name = line.word("a value");
    auto found = values_.find(name);
    if (found == values_.end()) line.fail(fmt::format("no value %{} above", name));
    return found->second;
  }

  static std::vector<int64_t> axes(LineReader& line) {
    std::vector<int64_t> result;
    for (const std::string& entry : line.list()) {
      int64_t axis = 0;
      const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), axis);
      if (error != std::errc() || end != entry.data() + entry.size()) {
        line.fail(fmt::format("'{}' is no axis", entry));
      }
      result.push_back(axis);
    }
    return result;
  }

  struct SlotText {
    std::string name;
    int64_t copy = 0;
    bool trainable = true;
  };
  static SlotText slot_text(LineReader& line) {
    SlotText slot{line.string()};
    if (line.take("copy")) slot.copy = line.number("a number");
    slot.trainable = !line.take("frozen");
    return slot;
  }

  std::shared_ptr<Slot> slot(const LineReader& line, const SlotText& text, const Type& type) {
    std::shared_ptr<Slot>& found = slots_[{text.name, text.copy}];
    if (!found) {
      std::vector<int64_t> shape;
      for (Expr extent : type.shape) {
        if (!extent.constant()) line.fail("a slot needs fixed sizes");
        shape.push_back(*extent.constant());
      }
      found = std::make_shared<Slot>(
          text.name, Array::full(type.dtype, shape, Scalar(type.dtype, 0)), text.trainable);
    }
    return found;
  }

  // What is written before the type but needs it.
  struct Pending {
    std::optional<SlotText> slot;
    std::optional<std::string> fill;
    std::optional<std::string> hex;
    std::optional<std::vector<std::string>> elements;
  };

  void parse_attribute(LineReader& line, AttributeField field, Attributes& a, Pending& pending) {
    switch (field) {
      case AttributeField::name:
        a.name = line.string();
        return;
      case AttributeField::slot:
        pending.slot = slot_text(line);
        return;
      case AttributeField::data:
        if (line.take("hex")) {
          pending.hex = line.peek(':') ? "" : line.run("digits");
        } else if (line.peek('[')) {
          pending.elements = line.list();
        } else {
          pending.elements = {line.run("a number")};
        }
        return;
      case AttributeField::size: {
        const std::vector<std::string> entries = line.list();
        if (entries.size() != 1) line.fail("expected one size");
        a.size = expression(line, entries[0]);
        return;
      }
      case AttributeField::salt:
        line.expect("salt");
        a.salt = line.number<uint64_t>("a number");
        return;
      case AttributeField::axis:
        a.axes = {line.number("an axis")};
        return;
      case AttributeField::axes:
        a.axes = axes(line);
        return;
      case AttributeField::map:
        for (const std::string& entry : line.list()) a.map.push_back(expression(line, entry));
        return;
      case AttributeField::fill:
        line.expect("fill");
        pending.fill = line.run("a number");
        return;
      case AttributeField::out_of_range:
        if (line.take("error")) a.out_of_range = OutOfRange::error;
        return;
      case AttributeField::unary_function:
        a.function = static_cast<uint8_t>(function<UnaryOp>(line, "function"));
        return;
      case AttributeField::binary_function:
        a.function = static_cast<uint8_t>(function<BinaryOp>(line, "function"));
        return;
      case AttributeField::reduce_function_or_replace:
        a.replace = line.take("replace");
        if (a.replace) return;
        [[fallthrough]];
      case AttributeField::reduce_function:
        a.function = static_cast<uint8_t>(function<ReduceOp>(line, "function"));
        return;
      case AttributeField::reverse:
        a.reverse = line.take("reverse");
        return;
      case AttributeField::descending:
        a.reverse = line.take("descending");
        return;
    }
    PLAIT_UNREACHABLE("attribute {}", static_cast<int>(field));
  }

  void resolve(const LineReader& line, const Pending& pending, const Type& type, Attributes& a) {
    if (pending.slot) a.slot = slot(line, *pending.slot, type);
    if (pending.fill) {
      a.fill = located(line, [&] { return Scalar::parse(type.dtype, *pending.fill); });
    }
    std::vector<std::byte> data;
    if (pending.elements) {
      const size_t size = dtype_size(type.dtype);
      data.resize(pending.elements->size() * size);
      for (size_t i = 0; i < pending.elements->size(); ++i) {
        located(line, [&] {
          return Scalar::parse(type.dtype, (*pending.elements)[i]);
        }).store(&data[i * size]);
      }
    } else if (pending.hex) {
      if (pending.hex->size() % 2 != 0) line.fail("an odd number of hexadecimal digits");
      for (size_t i = 0; i < pending.hex->size(); i += 2) {
        unsigned byte = 0;
        const char* begin = pending.hex->data() + i;
        if (std::from_chars(begin, begin + 2, byte, 16).ptr != begin + 2) {
          line.fail("expected hexadecimal digits");
        }
        data.push_back(static_cast<std::byte>(byte));
      }
    } else {
      return;
    }
    a.data = std::make_shared<std::vector<std::byte>>(std::move(data));
  }

  void parse_node(LineReader& line) {
    line.expect("%");
    const std::string name = line.word("a name");
    line.expect("=");
    const MetaOp op = function<MetaOp>(line, "meta-op");
    Attributes attributes;
    Pending pending;
    for (AttributeField field : attribute_fields(op)) {
      parse_attribute(line, field, attributes, pending);
    }
    std::vector<Value> operands;
    while (line.peek('%')) operands.push_back(value(line));
    line.expect(":");
    const std::string text = line.type_text();
    const Type type = located(line, [&] { return parse_type(text); });
    resolve(line, pending, type, attributes);
    const Value v = located(
        line, [&] { return graph_.add(op, std::move(operands), std::move(attributes), type); });
    if (graph_.type(v) != type) {
      line.fail(fmt::format("the type of %{} is {}", name, to_string(graph_.type(v))));
    }
    if (!values_.emplace(name, v).second) line.fail(fmt::format("%{} is there already", name));
    while (line.take("@")) {
      Origin origin;
      origin.scope = line.peek('"') ? line.string() : line.run("a scope");
      if (line.peek('"')) {
        origin.file = line.string();
        line.expect(":");
        origin.line = static_cast<int>(line.number("a line"));
      }
      graph_.add_origin(v, std::move(origin));
    }
  }

  Graph graph_;
  std::map<std::string, Value> values_;
  std::map<std::pair<std::string, int64_t>, std::shared_ptr<Slot>> slots_;
};

}  // namespace

Graph parse_graph(std::string_view text) { return Parser().parse(text); }

}  // namespace plait

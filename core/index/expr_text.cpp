// The text form of index expressions.
#include <charconv>

#include "core/index/node.h"
#include "core/nearest.h"

namespace plait {

namespace {

const char* function_name(ExprKind kind) {
  switch (kind) {
    case ExprKind::floor_div:
      return "floor_div";
    case ExprKind::mod:
      return "mod";
    case ExprKind::min:
      return "min";
    case ExprKind::max:
      return "max";
    case ExprKind::constant:
    case ExprKind::symbol:
    case ExprKind::variable:
    case ExprKind::element:
    case ExprKind::add:
    case ExprKind::mul:
      break;
  }
  PLAIT_UNREACHABLE("expression kind {} is no function", static_cast<int>(kind));
}

// Prints with a stack of its own: expressions may be deep.
class Printer {
 public:
  explicit Printer(const std::function<std::string(uint32_t)>& variable_name)
      : variable_name_(variable_name) {}

  std::string print(Expr root) {
    push(root);
    while (!stack_.empty()) {
      const Item item = stack_.back();
      stack_.pop_back();
      text_ += item.text;
      if (item.expr) print_node(*item.expr);
    }
    return std::move(text_);
  }

 private:
  struct Item {
    std::optional<Expr> expr;
    std::string_view text;  // of static storage; printed before the expression
  };

  void push(Expr e) { stack_.push_back({e, {}}); }
  void push(std::string_view text) { stack_.push_back({std::nullopt, text}); }

  void push_list(std::span<const Expr> operands, std::string_view close) {
    push(close);
    for (size_t i = operands.size(); i-- > 0;) stack_.push_back({operands[i], i ? ", " : ""});
  }

  void print_node(Expr e) {
    switch (e.kind()) {
      case ExprKind::constant:
        text_ += std::to_string(*e.constant());
        return;
      case ExprKind::symbol:
        text_ += e.name();
        return;
      case ExprKind::variable:
        text_ += variable_name_ ? variable_name_(e.id()) : "i" + std::to_string(e.id());
        return;
      case ExprKind::element:
        text_ += "t" + std::to_string(e.id()) + "[";
        push_list(e.operands(), "]");
        return;
      case ExprKind::floor_div:
      case ExprKind::mod:
      case ExprKind::min:
      case ExprKind::max:
        text_ += function_name(e.kind());
        text_ += "(";
        push_list(e.operands(), ")");
        return;
      case ExprKind::mul:
        print_product(e, node_of(e).value);
        return;
      case ExprKind::add: {
        const auto terms = e.operands();
        for (size_t i = terms.size(); i-- > 1;) {
          // The most negative number has no negation: it prints as `+ -9223372036854775808`.
          const int64_t coefficient = split_terms(terms[i])[0].coefficient;
          const bool minus = coefficient < 0 && coefficient != Span64::kMin;
          stack_.push_back({minus ? -terms[i] : terms[i], minus ? " - " : " + "});
        }
        push(terms[0]);
        return;
      }
    }
    PLAIT_UNREACHABLE("expression kind {}", static_cast<int>(e.kind()));
  }

  void print_product(Expr e, int64_t coefficient) {
    const Expr monomial = ExprFactory::from(node_of(e).monomial);
    const auto factors = factors_of(monomial);  // refers to `monomial`
    if (coefficient == -1) {
      text_ += "-";
    } else if (coefficient != 1) {
      text_ += std::to_string(coefficient) + "*";
    }
    for (size_t i = factors.size(); i-- > 0;) stack_.push_back({factors[i], i ? "*" : ""});
  }

  // The most negative number has no negation; it prints as `+ -9223372036854775808`.

  const std::function<std::string(uint32_t)>& variable_name_;
  std::string text_;
  std::vector<Item> stack_;
};

std::string nearest_symbols(std::string_view name) {
  const std::vector<std::string> names = symbol_names();
  const std::vector<std::string_view> known(names.begin(), names.end());
  return nearest_names(name, known);
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Expr parse() {
    const Expr e = parse_sum();
    skip_spaces();
    check(position_ == text_.size(), "an operator or the end");
    return e;
  }

 private:
  static constexpr int kMaxNesting = 1000;

  void skip_spaces() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\t'))
      ++position_;
  }

  char peek() {
    skip_spaces();
    return position_ < text_.size() ? text_[position_] : '\0';
  }

  bool accept(char c) {
    if (peek() != c) return false;
    ++position_;
    return true;
  }

  void check(bool ok, std::string_view wanted) {
    PLAIT_CHECK(ok, "parse_expr", "expected {} at column {} of \"{}\"", wanted, position_ + 1,
                text_);
  }

  void expect(char c) { check(accept(c), fmt::format("'{}'", c)); }

  Expr parse_sum() {
    Expr result = parse_product();
    while (true) {
      if (accept('+')) {
        result = result + parse_product();
      } else if (accept('-')) {
        result = result - parse_product();
      } else {
        return result;
      }
    }
  }

  Expr parse_product() {
    Expr result = parse_factor();
    while (accept('*')) result = result * parse_factor();
    return result;
  }

  Expr parse_factor() {
    PLAIT_CHECK(++nesting_ <= kMaxNesting, "parse_expr", "nested more than {} deep", kMaxNesting);
    const Expr result = parse_atom();
    --nesting_;
    return result;
  }

  Expr parse_atom() {
    const char c = peek();
    if (accept('(')) {
      const Expr e = parse_sum();
      expect(')');
      return e;
    }
    const bool minus = accept('-');
    const char next = peek();
    if (next >= '0' && next <= '9') return parse_number(minus);
    if (minus) return -parse_factor();
    check(is_letter(c), "a number, a name or '('");
    return parse_word();
  }

  Expr parse_number(bool minus) {
    int64_t value = 0;
    std::string digits = minus ? "-" : "";
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9')
      digits += text_[position_++];
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    PLAIT_CHECK(result.ec == std::errc(), "parse_expr", "{} does not fit 64 bits", digits);
    return Expr(value);
  }

  static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }

  std::vector<Expr> parse_list(char close) {
    std::vector<Expr> result;
    if (accept(close)) return result;
    do {
      result.push_back(parse_sum());
    } while (accept(','));
    expect(close);
    return result;
  }

  Expr parse_word() {
    const size_t start = position_;
    while (position_ < text_.size() &&
           (is_letter(text_[position_]) || (text_[position_] >= '0' && text_[position_] <= '9')))
      ++position_;
    const std::string_view word = text_.substr(start, position_ - start);
    if (accept('(')) return call(word, parse_list(')'));
    if (word[0] == 't' && peek() == '[') {
      const auto id = number_after_letter(word);
      check(id.has_value(), "a tensor t<number>");
      accept('[');
      return Expr::element(*id, parse_list(']'));
    }
    if (word[0] == 'i')
      if (auto id = number_after_letter(word)) return Expr::variable(*id);
    const ExprNode* symbol = find_symbol(word);
    PLAIT_CHECK(symbol, "parse_expr", "unknown dimension \"{}\" in \"{}\". hint: {}", word, text_,
                nearest_symbols(word));
    return ExprFactory::from(symbol);
  }

  static std::optional<uint32_t> number_after_letter(std::string_view word) {
    uint32_t id = 0;
    const auto [end, error] = std::from_chars(word.data() + 1, word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
    return id;
  }

  Expr call(std::string_view name, const std::vector<Expr>& arguments) {
    const bool extremum = name == "min" || name == "max";
    PLAIT_CHECK(
        extremum || name == "mod" || name == "floor_div" || name == "ceil_div", "parse_expr",
        "unknown function \"{}\". hint: there are floor_div, ceil_div, mod, min, max", name);
    PLAIT_CHECK(extremum ? !arguments.empty() : arguments.size() == 2, "parse_expr",
                "{} takes {}; got {} in \"{}\"", name, extremum ? "at least one operand" : "two",
                arguments.size(), text_);
    if (name == "mod") return mod(arguments[0], arguments[1]);
    if (name == "floor_div") return floor_div(arguments[0], arguments[1]);
    if (name == "ceil_div") return ceil_div(arguments[0], arguments[1]);
    Expr result = arguments[0];
    for (Expr e : arguments) result = name == "min" ? min(result, e) : max(result, e);
    return result;
  }

  std::string_view text_;
  size_t position_ = 0;
  int nesting_ = 0;
};

}  // namespace

std::string to_string(Expr e, const std::function<std::string(uint32_t)>& variable_name) {
  return Printer(variable_name).print(e);
}

Expr parse_expr(std::string_view text) {
  try {
    return Parser(text).parse();
  } catch (const IndexOverflow&) {
    PLAIT_CHECK(false, "parse_expr", "a number leaves 64 bits in \"{}\"", text);
  }
  PLAIT_UNREACHABLE("the check above throws");
}

}  // namespace plait

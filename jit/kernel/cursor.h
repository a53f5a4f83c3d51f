// Reads the words of one line of kernel text; errors name line and column.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"

namespace plait::kernel {

inline bool is_name_start(char c) {
  return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '_';
}
inline bool is_digit(char c) { return '0' <= c && c <= '9'; }
inline bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

struct Line {
  std::string_view text;  // without indentation and comment
  size_t number;          // from 1
  size_t indent;          // spaces
};

// A position in one line. Columns count from 1.
class Cursor {
 public:
  explicit Cursor(const Line& line) : line_(&line) {}

  [[noreturn]] void fail(const std::string& message) const { fail_at(position_, message); }
  [[noreturn]] void fail_at(size_t position, const std::string& message) const {
    throw UserError(fmt::format("[parse_kernel] line {}, column {}: {}", line_->number,
                                line_->indent + position + 1, message));
  }

  size_t position() const { return position_; }
  bool at_end() {
    skip_spaces();
    return position_ == line_->text.size();
  }
  void expect_end() {
    if (!at_end()) fail(fmt::format("unexpected `{}`", line_->text.substr(position_)));
  }
  char peek() {
    skip_spaces();
    return position_ < line_->text.size() ? line_->text[position_] : '\0';
  }
  // Without skipping spaces: `x[` is an access, `le [` an op and an operand.
  bool is_next(char c) const {
    return position_ < line_->text.size() && line_->text[position_] == c;
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++position_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("expected `{}`", c));
  }
  bool accept_word(std::string_view word) {
    const size_t start = position_;
    if (is_name_start(peek()) && name() == word) return true;
    position_ = start;
    return false;
  }
  void expect_word(std::string_view word) {
    if (!accept_word(word)) fail(fmt::format("expected `{}`", word));
  }
  std::string_view name() {
    if (!is_name_start(peek())) fail("expected a name");
    return take(is_name_part);
  }
  // A number or a word such as `-inf`, `1e-05`, `nan`, `true`.
  std::string_view literal() {
    if (peek() == '\0') fail("expected a value");
    const auto text =
        take([](char c) { return is_name_part(c) || c == '+' || c == '-' || c == '.'; });
    if (text.empty()) fail("expected a value");
    return text;
  }
  int64_t integer() {
    peek();
    const size_t start = position_;
    if (position_ < line_->text.size() && line_->text[position_] == '-') ++position_;
    take(is_digit);
    return number<int64_t>(start, position_);
  }
  double real() {
    peek();
    const size_t start = position_;
    literal();
    return number<double>(start, position_);
  }
  std::string quoted() {
    expect('"');
    const size_t end = line_->text.find('"', position_);
    if (end == std::string_view::npos) fail("the text does not end");
    const std::string text(line_->text.substr(position_, end - position_));
    position_ = end + 1;
    return text;
  }

 private:
  void skip_spaces() {
    while (position_ < line_->text.size() && line_->text[position_] == ' ') ++position_;
  }
  template <class F>
  std::string_view take(F&& belongs) {
    const size_t start = position_;
    while (position_ < line_->text.size() && belongs(line_->text[position_])) ++position_;
    return line_->text.substr(start, position_ - start);
  }
  template <class T>
  T number(size_t start, size_t end) const {
    T value{};
    const char* last = line_->text.data() + end;
    const auto [stop, error] = std::from_chars(line_->text.data() + start, last, value);
    if (error != std::errc() || stop != last || start == end) fail_at(start, "expected a number");
    return value;
  }

  const Line* line_;
  size_t position_ = 0;
};

}  // namespace plait::kernel

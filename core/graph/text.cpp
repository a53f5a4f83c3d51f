#include "core/graph/text.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "core/error.h"
#include "core/interrupt.h"
#include "core/slot.h"

namespace plait {
namespace {

constexpr int64_t kLongestList = 64;

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string scope_text(const std::string& scope) {
  const bool plain = !scope.empty() && std::ranges::all_of(scope, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::strchr("_./-", c) != nullptr;
  });
  return plain ? scope : quoted(scope);
}

std::string list(std::span<const int64_t> axes) {
  return fmt::format("[{}]", fmt::join(axes, ", "));
}

std::string list(std::span<const Expr> map) {
  std::vector<std::string> texts;
  for (Expr e : map) texts.push_back(to_string(e));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

// The elements as text that parses back to the same bytes, else their bytes.
std::string constant_text(const Node& node) {
  const DType dtype = node.type.dtype;
  const std::vector<std::byte>& data = *node.attributes.data;
  const size_t size = dtype_size(dtype);
  const size_t count = data.size() / size;
  std::vector<std::string> elements;
  bool exact = count <= kLongestList;
  for (size_t i = 0; i < count && exact; ++i) {
    elements.push_back(Scalar::load(dtype, &data[i * size]).to_string());
    std::byte again[8];
    Scalar::parse(dtype, elements.back()).store(again);
    exact = std::memcmp(again, &data[i * size], size) == 0;
  }
  if (exact && node.type.rank() == 0) return elements[0];
  if (exact) return fmt::format("[{}]", fmt::join(elements, ", "));
  std::string hex = "hex ";
  for (std::byte byte : data) hex += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return hex;
}

class Printer {
 public:
  explicit Printer(const Graph& graph) : graph_(graph) {}

  std::string print() {
    text_ = "graph\n";
    for (Expr symbol : symbols()) {
      text_ +=
          fmt::format("  dim {} {}..{}", symbol.name(), symbol.symbol_lo(), symbol.symbol_hi());
      if (symbol.symbol_multiple() != 1) {
        text_ += fmt::format(" multiple {}", symbol.symbol_multiple());
      }
      text_ += '\n';
    }
    for (Value v = 0; v < graph_.size(); ++v) {
      check_interrupt();
      print_node(v);
    }
    for (const SizeGuard& guard : graph_.guards()) {
      text_ += fmt::format("  guard {} == {} {}\n", to_string(guard.a), to_string(guard.b),
                           quoted(guard.message));
    }
    for (const Output& output : graph_.outputs()) {
      text_ += fmt::format("  output {} %{}\n", quoted(output.name), output.value);
    }
    return std::move(text_);
  }

 private:
  std::vector<Expr> symbols() const {
    std::map<std::string, Expr> found;
    auto collect = [&](Expr e) {
      for (Expr symbol : symbols_of(e)) found.emplace(symbol.name(), symbol);
    };
    for (Value v = 0; v < graph_.size(); ++v) {
      const Node& node = graph_.node(v);
      for (Expr e : node.type.shape) collect(e);
      for (Expr e : node.attributes.map) collect(e);
      collect(node.attributes.size);
    }
    for (const SizeGuard& guard : graph_.guards()) {
      collect(guard.a);
      collect(guard.b);
    }
    std::vector<Expr> result;
    for (const auto& [name, symbol] : found) result.push_back(symbol);
    return result;
  }

  // Slots of one name are told apart by the order in which they appear.
  std::string slot_text(const Slot* slot) {
    std::vector<const Slot*>& same = slots_[slot->name()];
    auto found = std::ranges::find(same, slot);
    const auto number = found - same.begin();
    if (found == same.end()) same.push_back(slot);
    std::string text = quoted(slot->name());
    if (number > 0) text += fmt::format(" copy {}", number);
    if (!slot->trainable()) text += " frozen";
    return text;
  }

  // Empty for a flag that is not set.
  std::string attribute_text(const Node& node, AttributeField field) {
    const Attributes& a = node.attributes;
    switch (field) {
      case AttributeField::name:
        return quoted(a.name);
      case AttributeField::slot:
        return slot_text(a.slot.get());
      case AttributeField::data:
        return constant_text(node);
      case AttributeField::size:
        return "[" + to_string(a.size) + "]";
      case AttributeField::salt:
        return fmt::format("salt {}", a.salt);
      case AttributeField::axis:
        return fmt::format("{}", a.axes[0]);
      case AttributeField::axes:
        return list(a.axes);
      case AttributeField::map:
        return list(a.map);
      case AttributeField::fill:
        return "fill " + a.fill.to_string();
      case AttributeField::out_of_range:
        return a.out_of_range == OutOfRange::error ? "error" : "";
      case AttributeField::unary_function:
        return name_of(node.unary());
      case AttributeField::binary_function:
        return name_of(node.binary());
      case AttributeField::reduce_function:
        return name_of(node.reduce());
      case AttributeField::reduce_function_or_replace:
        return a.replace ? "replace" : name_of(node.reduce());
      case AttributeField::reverse:
        return a.reverse ? "reverse" : "";
      case AttributeField::descending:
        return a.reverse ? "descending" : "";
    }
    PLAIT_UNREACHABLE("attribute {}", static_cast<int>(field));
  }

  void print_node(Value v) {
    const Node& node = graph_.node(v);
    text_ += fmt::format("  %{} = {}", v, name_of(node.op));
    for (AttributeField field : attribute_fields(node.op)) {
      const std::string attribute = attribute_text(node, field);
      if (!attribute.empty()) text_ += " " + attribute;
    }
    for (Value operand : node.operands) text_ += fmt::format(" %{}", operand);
    text_ += " : " + to_string(node.type);
    for (const Origin& origin : graph_.origins(v)) {
      text_ += "  @ " + scope_text(origin.scope);
      if (!origin.file.empty()) text_ += fmt::format(" {}:{}", quoted(origin.file), origin.line);
    }
    text_ += '\n';
  }

  const Graph& graph_;
  std::string text_;
  std::map<std::string, std::vector<const Slot*>> slots_;
};

}  // namespace

std::string to_text(const Graph& graph) { return Printer(graph).print(); }

}  // namespace plait

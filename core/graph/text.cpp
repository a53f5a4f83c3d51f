#include "core/graph/text.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "core/error.h"
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
    for (Value v = 0; v < graph_.size(); ++v) print_node(v);
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

  std::string attributes_text(const Node& node) {
    const Attributes& a = node.attributes;
    const char* policy = a.out_of_range == OutOfRange::error ? " error" : "";
    switch (node.op) {
      case MetaOp::input:
        return quoted(a.name);
      case MetaOp::parameter:
      case MetaOp::assign:
        return slot_text(a.slot.get());
      case MetaOp::constant:
        return constant_text(node);
      case MetaOp::iota:
      case MetaOp::concat:
        return fmt::format("{}", a.axes[0]);
      case MetaOp::size:
        return "[" + to_string(a.size) + "]";
      case MetaOp::random:
        return fmt::format("salt {}", a.salt);
      case MetaOp::unary:
        return name_of(node.unary());
      case MetaOp::binary:
        return name_of(node.binary());
      case MetaOp::fma:
      case MetaOp::select:
      case MetaOp::cast:
      case MetaOp::detach:
        return {};
      case MetaOp::broadcast:
        return list(a.axes);
      case MetaOp::reduce:
        return fmt::format("{} {}", name_of(node.reduce()), list(a.axes));
      case MetaOp::reindex:
        return fmt::format("{} fill {}{}", list(a.map), a.fill.to_string(), policy);
      case MetaOp::scatter:
        return fmt::format("{} {}{}", a.replace ? "replace" : name_of(node.reduce()), list(a.map),
                           policy);
      case MetaOp::scan:
        return fmt::format("{} {}{}", name_of(node.reduce()), a.axes[0],
                           a.reverse ? " reverse" : "");
      case MetaOp::sort:
        return fmt::format("{}{}", a.axes[0], a.reverse ? " descending" : "");
    }
    PLAIT_UNREACHABLE("meta-op {}", static_cast<int>(node.op));
  }

  void print_node(Value v) {
    const Node& node = graph_.node(v);
    text_ += fmt::format("  %{} = {}", v, name_of(node.op));
    const std::string attributes = attributes_text(node);
    if (!attributes.empty()) text_ += " " + attributes;
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

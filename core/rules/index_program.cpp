#include "core/rules/index_program.h"

#include <algorithm>

#include "core/error.h"

namespace plait {

IndexProgram::IndexProgram(std::span<const Expr> results, const SymbolValues& symbols) {
  std::unordered_map<Expr, uint32_t> registers;
  for (Expr e : results) results_.push_back(compile(e, symbols, registers));
  registers_.resize(steps_.size());
}

// Recursion is as deep as one index expression, whatever the graph.
uint32_t IndexProgram::compile(Expr e, const SymbolValues& symbols,
                               std::unordered_map<Expr, uint32_t>& registers) {
  if (auto found = registers.find(e); found != registers.end()) return found->second;
  Step step{.kind = e.kind()};
  switch (e.kind()) {
    case ExprKind::constant:
      step.value = *e.constant();
      break;
    case ExprKind::symbol: {
      auto found = symbols.find(e.name());
      PLAIT_INTERNAL_CHECK(found != symbols.end(), "no value for dimension '{}'", e.name());
      step.value = found->second;
      break;
    }
    case ExprKind::variable:
      step.id = e.id();
      break;
    case ExprKind::element:
      step.id = e.id();
      [[fallthrough]];
    case ExprKind::add:
    case ExprKind::mul:
    case ExprKind::floor_div:
    case ExprKind::mod:
    case ExprKind::min:
    case ExprKind::max: {
      std::vector<uint32_t> inputs;
      for (Expr operand : e.operands()) inputs.push_back(compile(operand, symbols, registers));
      step.first = static_cast<uint32_t>(inputs_.size());
      step.count = static_cast<uint32_t>(inputs.size());
      inputs_.insert(inputs_.end(), inputs.begin(), inputs.end());
      break;
    }
  }
  const auto number = static_cast<uint32_t>(steps_.size());
  steps_.push_back(step);
  registers.emplace(e, number);
  return number;
}

int64_t IndexProgram::combine(ExprKind kind, int64_t a, int64_t b) {
  switch (kind) {
    case ExprKind::add:
      return a + b;
    case ExprKind::mul:
      return a * b;
    case ExprKind::floor_div: {
      PLAIT_INTERNAL_CHECK(b != 0, "index {} divided by 0", a);
      return a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
    }
    case ExprKind::mod: {
      PLAIT_INTERNAL_CHECK(b != 0, "index {} modulo 0", a);
      const int64_t r = a % b;
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    }
    case ExprKind::min:
      return std::min(a, b);
    case ExprKind::max:
      return std::max(a, b);
    case ExprKind::constant:
    case ExprKind::symbol:
    case ExprKind::variable:
    case ExprKind::element:
      break;
  }
  PLAIT_UNREACHABLE("index operation {}", static_cast<int>(kind));
}

}  // namespace plait

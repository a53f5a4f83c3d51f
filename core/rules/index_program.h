// Index expressions compiled to a list of steps, for evaluating one map at many positions.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/index/expr.h"

namespace plait {

class IndexProgram {
 public:
  IndexProgram() = default;
  IndexProgram(std::span<const Expr> results, const SymbolValues& symbols);

  // Writes one number per result. `variables` holds variable k at position k;
  // `read(tensor, indices)` gives the element that an `element` expression names.
  template <class Read>
  void run(const int64_t* variables, int64_t* results, Read&& read);

 private:
  struct Step {
    ExprKind kind;
    uint32_t id = 0;     // variable or tensor number
    int64_t value = 0;   // constant
    uint32_t first = 0;  // its operands: registers inputs_[first, first + count)
    uint32_t count = 0;
  };
  uint32_t compile(Expr e, const SymbolValues& symbols,
                   std::unordered_map<Expr, uint32_t>& registers);
  static int64_t combine(ExprKind kind, int64_t a, int64_t b);

  std::vector<Step> steps_;  // step k writes register k
  std::vector<uint32_t> inputs_;
  std::vector<uint32_t> results_;
  std::vector<int64_t> registers_;
  std::vector<int64_t> indices_;
};

template <class Read>
void IndexProgram::run(const int64_t* variables, int64_t* results, Read&& read) {
  for (size_t k = 0; k < steps_.size(); ++k) {
    const Step& step = steps_[k];
    int64_t value = step.value;
    if (step.kind == ExprKind::variable) {
      value = variables[step.id];
    } else if (step.kind == ExprKind::element) {
      indices_.clear();
      for (uint32_t i = 0; i < step.count; ++i) {
        indices_.push_back(registers_[inputs_[step.first + i]]);
      }
      value = read(step.id, std::span<const int64_t>(indices_));
    } else if (step.count > 0) {
      value = registers_[inputs_[step.first]];
      for (uint32_t i = 1; i < step.count; ++i) {
        value = combine(step.kind, value, registers_[inputs_[step.first + i]]);
      }
    }
    registers_[k] = value;
  }
  for (size_t k = 0; k < results_.size(); ++k) results[k] = registers_[results_[k]];
}

}  // namespace plait

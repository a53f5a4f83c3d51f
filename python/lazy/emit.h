// From a plan to a graph of meta-operators.
#pragma once

#include <optional>
#include <unordered_set>

#include "python/lazy/plan.h"

namespace plait::lazy {

// A number that can't be an input: the op gives something else then, or refuses.
struct FixedNumber {
  size_t number;  // in Plan::numbers()
};

// Adds the plan to the thread's current graph. Inputs are called input0, input1, …, keys of random
// draws key0, …, and numbers number0, …; placeholders keep their names. In a captured function
// memory is what the function made itself: a constant.
class Emitter {
 public:
  // `varying`: the numbers that are inputs; none if empty.
  Emitter(const Plan& plan, const std::vector<bool>& varying, bool captured);

  Tensor at(const Ref& ref) const;
  DType number_dtype(size_t number) const { return number_dtypes_[number]; }

 private:
  void emit_inputs(bool captured);
  void emit(size_t ordinal, const std::vector<bool>& varying);
  std::vector<Tensor> emit_call(size_t ordinal, const std::vector<bool>& varying);
  std::vector<Tensor> emit_draw(const Node& node);
  std::vector<Tensor> emit_gradient(const Node& node);

  const Plan& plan_;
  std::vector<Tensor> inputs_;
  std::map<const Node*, std::vector<Tensor>> results_;
  std::vector<DType> number_dtypes_;
  std::unordered_set<const Node*> differentiated_;  // what gradients are by
  size_t next_number_ = 0, next_draw_ = 0, apart_ = 0;
};

}  // namespace plait::lazy

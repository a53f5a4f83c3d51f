// The running value of a reduction, for the evaluator.
#pragma once

#include "core/rules/scalar_functions.h"

namespace plait {

// Floats accumulate in long double (f64) or double (the others) and are rounded once, by `result`.
class Accumulator {
 public:
  Accumulator(ReduceOp op, DType dtype);  // of elements of one dtype; starts at the identity
  void add(Number x);
  Number result() const;  // for argmax and argmin the position, from 0

 private:
  void combine(long double x);
  bool better(Number x) const;

  ReduceOp op_;
  DType dtype_;
  bool empty_ = true;
  long double real_ = 0;
  int64_t integer_ = 0;
  int64_t seen_ = 0;
  int64_t position_ = 0;
};

}  // namespace plait

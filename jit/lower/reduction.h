// The arithmetic of reductions in kernel IR: identity and combination. argmax and argmin are
// reductions over (value, index) pairs.
#pragma once

#include <vector>

#include "jit/lower/values.h"

namespace plait::lower {

using Parts = std::vector<ValueId>;  // one value, or a value and its index

// What accumulators of max and min hold: values, or for f32 keys, unsigned integers in the order of
// the values with all NaNs at the winning end. Comparing keys is one instruction on every machine,
// comparing values with NaNs and signed zeros is not.
enum class Accumulate : uint8_t { values, keys };

class Reducer {
 public:
  Reducer(kernel::Builder& builder, ReduceOp op, DType operand,
          Accumulate accumulate = Accumulate::values);

  // The dtypes of the parts: what accumulators hold.
  const std::vector<DType>& dtypes() const { return dtypes_; }
  Parts identity();
  // `a` comes before `b` in the order of the reduction.
  Parts combine(const Parts& a, const Parts& b);
  // What one element contributes; `position` is its index along the axis (argmax, argmin).
  Parts element(ValueId value, Expr position);
  ValueId result(const Parts& parts, DType dtype);

 private:
  bool is_arg() const { return op_ == ReduceOp::argmax || op_ == ReduceOp::argmin; }
  uint32_t key_of_smallest() const;

  kernel::Builder& builder_;
  ReduceOp op_;
  std::vector<DType> dtypes_;
  bool has_keys_ = false;
};

// The smallest and the largest value of a dtype: -inf and inf for floats.
Scalar lowest_value(DType dtype);
Scalar highest_value(DType dtype);

}  // namespace plait::lower

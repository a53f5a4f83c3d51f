// The scalar functions of the elementwise meta-operators, on one element: the
// reference that the evaluator and constant folding share. They follow scalar_ops.def, use the
// functions of <cmath> in double, and round once to the dtype.
#pragma once

#include "core/dtype.h"
#include "core/graph/graph.h"

namespace plait {

// One element while it is computed: floats of every width as a double that is representable in the
// dtype, integers and booleans as 64 bits in two's complement. Which one holds follows from the
// dtype, which the caller knows.
union Number {
  double f;
  int64_t i;
};
inline Number real(double value) { return {.f = value}; }
inline Number integer(int64_t value) { return {.i = value}; }

Number load_number(DType dtype, const std::byte* elements, int64_t position);
void store_number(DType dtype, std::byte* elements, int64_t position, Number value);

double round_to(DType dtype, double value);   // a float dtype
int64_t wrap_to(DType dtype, int64_t value);  // an integer dtype or boolean
Number convert(Number value, DType from, DType to);
Number number_of(Scalar scalar, DType dtype);

// `dtype` is that of the operands; the result is of the operation's own type.
Number apply(UnaryOp op, DType dtype, Number x);
Number apply(BinaryOp op, DType dtype, Number a, Number b);
Number apply_fma(DType dtype, Number a, Number b, Number c);

}  // namespace plait

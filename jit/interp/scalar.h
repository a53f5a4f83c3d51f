// The arithmetic of kernel IR on one element: the exact meaning of every value op of nodes.def.
#pragma once

#include <cstdint>
#include <span>

#include "jit/kernel/kir.h"

namespace plait {

// One value of any dtype: its memory bytes in the low bits, zeros above.
using RawValue = uint64_t;

RawValue raw_of(const Scalar& scalar);
RawValue load_raw(DType dtype, const void* element);
void store_raw(DType dtype, RawValue value, void* element);
int64_t integer_of(DType dtype, RawValue value);  // booleans and integers

// The result of a unary, binary, comparison, ternary, select or conversion op. `type` is the dtype
// of the operands (of the last two for select), `result` that of the result.
RawValue apply(kernel::Op op, DType type, DType result, std::span<const RawValue> operands);

}  // namespace plait

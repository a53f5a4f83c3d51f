// Expansion of the scalar functions of core/graph/scalar_ops.def into kernel-IR primitives.
//
// Everything is branch-free arithmetic on correctly rounded primitives, so every backend computes
// the same bits. Accuracy, over the whole range with subnormals, infinities and signed zeros: at
// most 2 ulp in f32 and f64 (jit_math_tests holds the measured bounds).
#pragma once

#include "core/graph/graph.h"
#include "jit/kernel/builder.h"

namespace plait::lower {

// The operands have a compute dtype (f32, f64, an integer or boolean type) that the function is
// defined for (rules/infer); the result's dtype is as scalar_ops.def says.
kernel::ValueId emit_unary(kernel::Builder& builder, UnaryOp op, kernel::ValueId x);
kernel::ValueId emit_binary(kernel::Builder& builder, BinaryOp op, kernel::ValueId a,
                            kernel::ValueId b);

}  // namespace plait::lower

// The type rules of kernel IR, shared by the builder, the parser and the verifier.
#pragma once

#include <span>
#include <string>

#include "jit/kernel/kir.h"

namespace plait::kernel {

// How an op takes part in a kernel.
enum class OpClass : uint8_t {
  immediate,   // constant, index: a value without operands
  unary,       // one operand; the result has its dtype
  binary,      // two operands of one dtype; the result has it too
  comparison,  // two operands of one dtype; the result is bool
  ternary,     // fma: three operands of one dtype; pair_dot: u32, u32, f32; the result has the last
  select,      // bool and two values of one dtype
  conversion,  // cast, bitcast: the dtype of the result is free
  draw,        // random: four i64; the result is u32
  memory,      // load, store, prefetch, transpose
  tile,        // tile_zero, tile_load, tile_store, tile_dot
  structure,   // loop, when, flush, bind, report
};
OpClass class_of(Op op);

bool has_result(Op op);
size_t operand_count(Op op);

// The dtype that `op` gives for these operands; not for conversions and loads, which name theirs.
DType result_type(Op op, std::span<const DType> operands);

// Empty if operands and result fit the op, else the rule that is broken. `result` is ignored where
// there is none. Memory, tile and structure ops are checked for their operands alone: index, buffer
// and body belong to verify().
std::string type_error(Op op, std::span<const DType> operands, DType result);

}  // namespace plait::kernel

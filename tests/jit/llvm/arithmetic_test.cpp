// Every arithmetic op on every dtype it takes, against the interpreter.
#include <catch2/catch.hpp>

#include "jit/kernel/types.h"
#include "tests/jit/llvm/compare.h"
#include "tests/support/kernels.h"

using namespace plait;
using namespace plait::testing;
using kernel::Op;
using kernel::OpClass;

namespace {

constexpr Op kOps[] = {
#define PLAIT_KERNEL_OP(name) Op::name,
#include "jit/kernel/nodes.def"
};

const CompareOptions kAlsoOldest{1, {}, true};

bool fits(Op op, DType type, DType result) {
  std::vector<DType> operands(kernel::operand_count(op), type);
  if (op == Op::select) operands[0] = DType::boolean;
  return kernel::type_error(op, operands, result).empty();
}

}  // namespace

TEST_CASE("arithmetic on every dtype") {
  int checked = 0;
  for (Op op : kOps)
    for (DType type : kAllDTypes) {
      OpClass group = kernel::class_of(op);
      if (group != OpClass::unary && group != OpClass::binary && group != OpClass::comparison &&
          group != OpClass::ternary && group != OpClass::select)
        continue;
      DType result = group == OpClass::comparison ? DType::boolean : type;
      if (!fits(op, type, result)) continue;
      ++checked;
      CHECK(difference(elementwise(op, type, result, 16), {501}, kAlsoOldest) == "");
    }
  CHECK(checked > 100);
}

TEST_CASE("lanes of any count") {
  for (int64_t width : {1, 2, 3, 7, 8, 12, 24, 31, 32, 48, 64})
    for (Op op : {Op::add, Op::maximum, Op::fma, Op::lt, Op::round, Op::mod})
      for (DType type : {DType::f32, DType::f64})
        CHECK(difference(elementwise(op, type, op == Op::lt ? DType::boolean : type, width),
                         {3 * width + 5}) == "");
}

TEST_CASE("conversions between all dtypes") {
  for (DType from : kAllDTypes)
    for (DType to : kAllDTypes) {
      if (fits(Op::cast, from, to))
        CHECK(difference(elementwise(Op::cast, from, to, 8), {999}, kAlsoOldest) == "");
      if (fits(Op::bitcast, from, to))
        CHECK(difference(elementwise(Op::bitcast, from, to, 16), {50}) == "");
    }
}

#include "jit/kernel/builder.h"

#include <catch2/catch.hpp>

#include "core/error.h"

using namespace plait;
using namespace plait::kernel;

namespace {

template <class F>
std::string built(F&& body) {
  Kernel k;
  k.name = "k";
  Builder b(k);
  b.phase(2, [&](Expr r) { body(b, r); });
  return to_text(k);
}

}  // namespace

TEST_CASE("a cast to the same dtype is no instruction") {
  Kernel k;
  Builder b(k);
  b.phase(1, [&](Expr) {
    const ValueId v = b.constant(DType::f32, 1);
    CHECK(b.cast(DType::f32, v) == v);
    CHECK(b.bitcast(DType::f32, v) == v);
    CHECK(k.type(b.cast(DType::bf16, v)) == DType::bf16);
    CHECK(k.type(b.binary(Op::lt, v, v)) == DType::boolean);
  });
}

TEST_CASE("the builder refuses ill-typed instructions") {
  built([](Builder& b, Expr r) { b.add(b.index(r), b.constant(DType::i64, 1)); });
  CHECK_THROWS_AS(built([](Builder& b, Expr r) { b.add(b.index(r), b.constant(DType::f32, 1)); }),
                  InternalError);
  CHECK_THROWS_AS(built([](Builder& b, Expr) {
                    const ValueId half = b.constant(DType::bf16, 1);
                    b.mul(half, half);
                  }),
                  InternalError);
  CHECK_THROWS_AS(built([](Builder& b, Expr r) { b.unary(Op::sqrt, b.index(r)); }), InternalError);
  CHECK_THROWS_AS(built([](Builder& b, Expr r) { b.unary(Op::add, b.index(r)); }), InternalError);
  CHECK_THROWS_AS(built([](Builder& b, Expr r) { b.when(b.index(r), [] {}); }), InternalError);
  CHECK_THROWS_AS(built([](Builder& b, Expr) { b.add(3, 4); }), InternalError);
}

TEST_CASE("instructions need a phase, and phases do not nest") {
  Kernel k;
  Builder b(k);
  CHECK_THROWS_AS(b.index(1), InternalError);
  CHECK_THROWS_AS(b.phase(1, [&](Expr) { b.phase(1, [](Expr) {}); }), InternalError);
}

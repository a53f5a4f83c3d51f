// Sums and products of f64 with their rounding errors (Dekker 1971, Knuth; TwoProduct by fma).
#pragma once

#include <vector>

#include "jit/lower/math/constants.h"
#include "jit/lower/math/number.h"

namespace plait::lower::math {

// high + low, |low| at most half an ulp of high unless said otherwise.
struct DoubleDouble {
  Number high, low;
};

// a + b exactly; quick_sum needs |a| >= |b| or a = 0.
inline DoubleDouble exact_sum(Number a, Number b) {
  const Number sum = a + b;
  const Number b_part = sum - a;
  const Number a_error = a - (sum - b_part);
  return {sum, a_error + (b - b_part)};
}
inline DoubleDouble quick_sum(Number a, Number b) {
  const Number sum = a + b;
  return {sum, b - (sum - a)};
}

inline DoubleDouble exact_product(Number a, Number b) {
  const Number product = a * b;
  return {product, fma(a, b, -product)};
}

// Products to about 2^-104 of their size.
inline DoubleDouble product_of(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble product = exact_product(a.high, b.high);
  return quick_sum(product.high, fma(a.high, b.low, fma(a.low, b.high, product.low)));
}
inline DoubleDouble product_of(DoubleDouble a, ConstantPair b) {
  return product_of(a, DoubleDouble{a.high.like(b.high), a.high.like(b.low)});
}

// Replaces `terms` by others with the same sum, the first of which is close to it (VecSum of
// Ogita, Rump and Oishi, "Accurate sum and dot product", 2005).
inline void add_up(std::vector<Number>& terms) {
  for (size_t i = terms.size() - 1; i-- > 0;) {
    const DoubleDouble sum = exact_sum(terms[i], terms[i + 1]);
    terms[i] = sum.high;
    terms[i + 1] = sum.low;
  }
}

}  // namespace plait::lower::math

#include "ops/softmax_terms.h"

#include "ops/compose.h"
#include "ops/functions.h"

namespace plait::detail {

SoftmaxTerms softmax_terms(const Tensor& x, const std::vector<int64_t>& axes) {
  SoftmaxTerms terms;
  const Tensor most = plait::detach(reduce(ReduceOp::max, x, axes, true));
  terms.shift = where(eq(most, -kInfinity), 0.0, most);
  terms.shifted = sub(x, terms.shift);
  terms.exponentials = exp(terms.shifted);
  const Tensor sum = reduce(ReduceOp::sum, terms.exponentials, axes, true);
  terms.empty = eq(sum, 0.0);
  terms.total = where(terms.empty, 1.0, sum);
  return terms;
}

}  // namespace plait::detail

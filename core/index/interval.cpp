// Interval arithmetic on 64-bit integers with infinities.
#include <algorithm>

#include "core/index/node.h"

namespace plait {

namespace {

constexpr int64_t kMin = Span64::kMin, kMax = Span64::kMax;

bool infinite(int64_t x) { return x == kMin || x == kMax; }

int64_t saturate(__int128 x) {
  if (x <= kMin) return kMin;
  if (x >= kMax) return kMax;
  return static_cast<int64_t>(x);
}

// A bound that saturates counts as unbounded, which is safe on its own side only; a lower bound
// of +infinity or an upper bound of -infinity becomes the nearest finite number that is true.
Span64 make(__int128 lo, __int128 hi) {
  Span64 result{saturate(lo), saturate(hi)};
  if (result.lo == kMax) result.lo = kMax - 1;
  if (result.hi == kMin) result.hi = kMin + 1;
  return result;
}

Span64 add(Span64 a, Span64 b) {
  const __int128 lo = a.lo == kMin || b.lo == kMin ? kMin : static_cast<__int128>(a.lo) + b.lo;
  const __int128 hi = a.hi == kMax || b.hi == kMax ? kMax : static_cast<__int128>(a.hi) + b.hi;
  return make(lo, hi);
}

__int128 times(int64_t a, int64_t b) {
  if (a == 0 || b == 0) return 0;
  if (infinite(a) || infinite(b)) return (a < 0) == (b < 0) ? kMax : kMin;
  return static_cast<__int128>(a) * b;
}

Span64 multiply(Span64 a, Span64 b) {
  const __int128 corners[] = {times(a.lo, b.lo), times(a.lo, b.hi), times(a.hi, b.lo),
                              times(a.hi, b.hi)};
  return make(*std::min_element(corners, corners + 4), *std::max_element(corners, corners + 4));
}

// b >= 1.
int64_t quotient(int64_t a, int64_t b) {
  if (infinite(a)) return a;
  if (b == kMax) return a < 0 ? -1 : 0;
  return floor_div_int(a, b);
}

Span64 divide_by_positive(Span64 a, Span64 b) {
  return {quotient(a.lo, a.lo < 0 ? b.lo : b.hi), quotient(a.hi, a.hi < 0 ? b.hi : b.lo)};
}

int64_t negated(int64_t x) { return x == kMin ? kMax : x == kMax ? kMin : -x; }
Span64 negate(Span64 a) { return {negated(a.hi), negated(a.lo)}; }

// Where the divisor is 0 there is no value.
Span64 divide(Span64 a, Span64 b) {
  const bool positive = b.hi >= 1, negative = b.lo <= -1;
  if (!positive && !negative) return {};
  Span64 up{kMax, kMin}, down{kMax, kMin};
  if (positive) up = divide_by_positive(a, {std::max<int64_t>(b.lo, 1), b.hi});
  if (negative) down = divide_by_positive(negate(a), negate({b.lo, std::min<int64_t>(b.hi, -1)}));
  return {std::min(up.lo, down.lo), std::max(up.hi, down.hi)};
}

Span64 remainder(Span64 a, Span64 b) {
  if (a.lo >= 0 && b.lo >= 1 && a.hi < b.lo) return a;
  Span64 result{0, 0};
  if (b.hi >= 1) result.hi = b.hi == kMax ? kMax : b.hi - 1;
  if (b.lo <= -1) result.lo = b.lo == kMin ? kMin : b.lo + 1;
  if (a.lo >= 0 && b.lo >= 0) result.hi = std::min(result.hi, a.hi);
  return result;
}

}  // namespace

Span64 combine_spans(const ExprNode& node, std::span<const Span64> operands) {
  Span64 result;
  switch (node.kind) {
    case ExprKind::constant:
      // The extreme numbers mean unbounded.
      return infinite(node.value) ? make(static_cast<__int128>(node.value) - 1,
                                         static_cast<__int128>(node.value) + 1)
                                  : Span64{node.value, node.value};
    case ExprKind::symbol:
      return node.span;
    case ExprKind::variable:
    case ExprKind::element:
      return {};
    case ExprKind::add:
      result = {0, 0};
      for (Span64 s : operands) result = add(result, s);
      return result;
    case ExprKind::mul:
      result = {1, 1};
      for (Span64 s : operands) result = multiply(result, s);
      return result;
    case ExprKind::floor_div:
      return divide(operands[0], operands[1]);
    case ExprKind::mod:
      return remainder(operands[0], operands[1]);
    case ExprKind::min:
      result = operands[0];
      for (Span64 s : operands) result = {std::min(result.lo, s.lo), std::min(result.hi, s.hi)};
      return result;
    case ExprKind::max:
      result = operands[0];
      for (Span64 s : operands) result = {std::max(result.lo, s.lo), std::max(result.hi, s.hi)};
      return result;
  }
  PLAIT_UNREACHABLE("expression kind {}", static_cast<int>(node.kind));
}

}  // namespace plait

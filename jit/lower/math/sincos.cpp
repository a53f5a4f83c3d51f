// sin and cos over the whole range.
//
// The argument is reduced in turns: x / 2 pi modulo 1, with as many bits of 1 / 2 pi as the size of
// x asks for (Payne and Hanek, "Radian reduction for trigonometric functions", 1983). Products of x
// with pieces of 1 / 2 pi are exact, so whole turns can be dropped from each by itself; bits of
// 1 / 2 pi that give whole turns only are left out. The rest is a quarter number and an angle of at
// most pi / 4, for which minimax polynomials (tools/gen_math_coefficients.py) give both functions.
#include <vector>

#include "jit/lower/math/double_double.h"
#include "jit/lower/math/functions.h"

namespace plait::lower::math {
namespace {

// (sin(r)/r - 1)/z and (cos(r) - 1 + z/2)/z^2 in z = r^2.
constexpr double kSinF32[] = {-0.166666552, 0.008332178, -0.000195172688};
constexpr double kCosF32[] = {0.0416666456, -0.00138873677, 2.44384191e-5};
constexpr double kSinF64[] = {-0.16666666666666632,    0.0083333333333224183,
                              -0.00019841269829812285, 2.7557313693552193e-6,
                              -2.5050758382447968e-8,  1.5896811741641793e-10};
constexpr double kCosF64[] = {0.041666666666666602,  -0.0013888888888874131,
                              2.4801587289487538e-5, -2.7557314353946495e-7,
                              2.0875723501008809e-9, -1.1359660001624324e-11};

constexpr ConstantPair kTwoPi{0x1.921fb54442d18p+2, 0x1.1a62633145c07p-52};

// An angle of `quarter` quarter turns, in {-2, -1, 0, 1, 2}, plus a rest, of which these are the
// functions.
struct SinCos {
  Number quarter, sin, cos;
};

// Bits of 1 / 2 pi in pieces of 29, 29, 29 and 53 bits, from its top and from 2^-58 on: for
// arguments below and above kFarF32. A product of a f32 with 29 bits is an exact f64.
constexpr double kFarF32 = 0x1p80;
constexpr double kNearPieces[] = {0x1.45f306dp-3, 0x1.9391054p-32, 0x1.4fe13abp-61,
                                  0x1.d1f534ddc0db6p-90};
constexpr double kFarPieces[] = {0x1.29fc275p-58, 0x1.f47d4d2p-88, 0x1.77036d8p-116,
                                 0x1.4acc9e21c820fp-145};

Number without_turns(Number turns) { return turns - round(turns); }

SinCos sin_cos_f32(Number magnitude) {
  const Number x = magnitude.cast(DType::f64);
  const Number is_far = x.like(kFarF32) <= x;
  std::vector<Number> product;
  for (int i = 0; i < 4; ++i) {
    product.push_back(x * select(is_far, x.like(kFarPieces[i]), kNearPieces[i]));
  }
  for (int i = 0; i < 3; ++i) product[i] = without_turns(product[i]);
  const Number sum = product[0] + product[1] + product[2];
  const Number turns = round(sum);
  const Number quarter = round((sum - turns) * 4.0);
  const Number whole = fma(quarter, 0.25, turns);
  // Each sum either is exact or loses no more than its own last bit, in this order.
  const Number rest = product[0] - whole + product[1] + product[2] + product[3];
  const Number r = (rest * kTwoPi.high).cast(DType::f32);
  const Number z = r * r;
  return {quarter.cast(DType::f32), fma(r * z, polynomial(z, kSinF32), r),
          fma(z, fma(z, polynomial(z, kCosF32), -0.5), 1.0)};
}

// The fraction of 1 / 2 pi in pieces of 53 bits, each as a number below 1.
constexpr double kWordsF64[] = {
    0x1.45f306dc9c88p-3,  0x1.529fc2757d1f5p-1, 0x1.a6ee06db14accp-3, 0x1.3c439041fe514p-3,
    0x1.1d5ef5de2b0dbp-1, 0x1.246e3a424dd2ep-1, 0x1.924bba82746p-10,  0x1.21cfe1deb1cbp-3,
    0x1.29a73ee88235ep-2, 0x1.52ebb4484e99cp-1, 0x1.c09ad17df904ep-2, 0x1.91d639835339cp-3,
    0x1.a4e422fc5defcp-1, 0x1.283b1ff897ffdp-1, 0x1.c0b301fde5e23p-1, 0x1.6b414da3eda68p-4,
    0x1.3f6793e584dbap-1, 0x1.e8c7ecd3cbfd4p-2, 0x1.6ba93dd63f5fp-3,  0x1.7c5ecf41ce7dep-1,
    0x1.4a525d4d7f6bcp-3, 0x1.b11f8d5d0856p-1,  0x1.98237e3db5d5cp-3,
};
constexpr int kWindow = 5;
constexpr double kWordScales[kWindow] = {1, 0x1p-53, 0x1p-106, 0x1p-159, 0x1p-212};

// Words first to first + 4 of kWordsF64, by a barrel shifter of selects; `first` is an integer in
// [0, 18] as f64.
std::vector<Number> window_of_words(Number first) {
  std::vector<Number> words;
  for (double word : kWordsF64) words.push_back(first.like(word));
  for (int step = 16; step > 0; step /= 2) {
    const Number taken = first.like(step) <= first;
    first = select(taken, first - step, first);
    const size_t needed = static_cast<size_t>(kWindow + step - 1);
    std::vector<Number> shifted;
    for (size_t i = 0; i < needed && i < words.size(); ++i) {
      const size_t from = i + static_cast<size_t>(step);
      shifted.push_back(from < words.size() ? select(taken, words[from], words[i]) : words[i]);
    }
    words = std::move(shifted);
  }
  return words;
}

struct Angle {
  Number quarter;
  DoubleDouble rest;  // radians
};

Angle reduce_f64(Number x) {
  // x 2^(-53 first) lies below 2^105, and from 2^52 on if first > 0, where it is an integer.
  const Number field = bits_of(x) >> 52;
  const Number biased =
      (field | field.like_integer(0x4330000000000000)).bitcast(DType::f64) - 0x1p52;
  const Number first = at_least(floor((biased - (1023 + 52 - 0.5)) * (1.0 / 53)), 0.0);
  const Number scale_field = bits_of(fma(first, -53.0, 0x1p52 + 1023));
  const Number integer = x * (scale_field << 52).bitcast(DType::f64);
  const std::vector<Number> words = window_of_words(first);

  // The products in turns, largest first; whole turns dropped where there can be any.
  std::vector<Number> parts;
  for (int i = 0; i < kWindow; ++i) {
    const Number factor = i == 0 ? integer : integer * kWordScales[i];
    const DoubleDouble product = exact_product(factor, words[static_cast<size_t>(i)]);
    parts.push_back(i < 2 ? without_turns(product.high) : product.high);
    parts.push_back(i < 1 ? without_turns(product.low) : product.low);
  }
  add_up(parts);
  parts[0] = without_turns(parts[0]);
  const Number quarter = round(parts[0] * 4.0);
  parts[0] = fma(quarter, -0.25, parts[0]);
  add_up(parts);
  Number low = parts.back();
  for (size_t i = parts.size() - 1; i-- > 1;) low = low + parts[i];
  return {quarter, product_of({parts[0], low}, kTwoPi)};
}

SinCos sin_cos_f64(Number magnitude) {
  const auto [quarter, rest] = reduce_f64(magnitude);
  const auto [r, r_low] = rest;
  const Number z = r * r;
  const Number sine_tail = fma(r * z, polynomial(z, kSinF64), r_low);
  const Number half = z * 0.5;
  const Number one_minus = 1.0 - half;
  const Number lost = (1.0 - one_minus) - half;
  const Number cosine_tail = fma(z * z, polynomial(z, kCosF64), fma(-r, r_low, lost));
  return {quarter, r + sine_tail, one_minus + cosine_tail};
}

SinCos sin_cos(Number magnitude) {
  return magnitude.is_f64() ? sin_cos_f64(magnitude) : sin_cos_f32(magnitude);
}

}  // namespace

// Quarters turn sin into cos, -sin, -cos. The smallest angles are their own sine: the reduction of
// f64 would lose their last bits.
Number sin(Number x) {
  const Number magnitude = abs(x);
  const SinCos f = sin_cos(magnitude);
  const Number quarter_size = abs(f.quarter);
  const Number value = select(quarter_size == 1.0, f.cos, f.sin);
  const Number negative = 0.0 < select(quarter_size == 2.0, quarter_size, -f.quarter);
  const Number result = flip_sign(select(negative, -value, value), sign_of(x));
  return x.is_f64() ? select(magnitude < 0x1p-27, x, result) : result;
}

Number cos(Number x) {
  const SinCos f = sin_cos(abs(x));
  const Number quarter_size = abs(f.quarter);
  const Number value = select(quarter_size == 1.0, f.sin, f.cos);
  const Number negative = 0.0 < select(quarter_size == 2.0, quarter_size, f.quarter);
  return select(negative, -value, value);
}

}  // namespace plait::lower::math

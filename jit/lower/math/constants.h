// Constants that several expansions use; pairs are a number rounded to the dtype and the rest.
#pragma once

#include <limits>

namespace plait::lower::math {

struct ConstantPair {
  double high, low;
};

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

inline constexpr ConstantPair kLn2F32{0x1.62e43p-1, -0x1.05c61p-29};
inline constexpr ConstantPair kLn2F64{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
inline constexpr ConstantPair kLog2EF32{0x1.715476p+0, 0x1.4ae0cp-26};
inline constexpr ConstantPair kLog2EF64{0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56};
inline constexpr ConstantPair kHalfPiF32{0x1.921fb6p+0, -0x1.777a5cp-25};
inline constexpr ConstantPair kHalfPiF64{0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54};

}  // namespace plait::lower::math

// Flat indices over several axes whose elements do not lie in one run: each run of axes is a digit
// of the index, and a vector of neighbours is cut where the last digit starts anew. So windows and
// split axes are read by a few address registers a vector, without a division a lane.
#pragma once

#include <optional>

#include "jit/lower/axes.h"
#include "jit/lower/values.h"

namespace plait::lower {

// An index that lies outside [0, extent) at some points: the value there is a fill.
struct IndexGuard {
  Expr index, extent;
  friend bool operator==(const IndexGuard&, const IndexGuard&) = default;
};

// What a value reads: over axis variables.
struct Reads {
  std::vector<Expr> addresses;
  std::vector<IndexGuard> guards;
};
// Through views and elementwise values down to memory. Absent where it joins, draws or follows
// data.
std::optional<Reads> reads_of(const Graph& graph, const fusion::FusionPlan& plan, Value value,
                              const Tuple& tuple, const Ranges& ranges);

// How a factor of a contraction lies along the last of its own axes and of k.
struct FactorLayout {
  bool is_view = true;  // views and casts of one value in memory
  bool plain = true;    // such a view, without casts, and always in range
  bool own_contiguous = false, k_contiguous = false;
  // Where it is such a view, casts or not, always in range and in rows along k: element (i, k) of
  // the flat indices lies at base + i * pitch + k. The base knows the batch axes.
  struct Rows {
    Value source;
    Expr base, pitch;
  };
  std::optional<Rows> rows;
};
FactorLayout layout_of(const Graph& graph, const fusion::FusionPlan& plan, Value value,
                       const Tuple& tuple, const std::vector<Expr>& extents,
                       const std::vector<uint32_t>& own, const std::vector<uint32_t>& k);

struct Digits {
  std::vector<LoopAxis> axes;  // outermost first

  Expr extent() const;
  // Elements of all digits but the first.
  Expr inner() const;
  // All extents but the first are numbers above 0.
  bool fixed() const;
};

// Neighbours among `axes` share a digit where each of `reads` stays free of division.
Digits digits_of(const std::vector<uint32_t>& axes, const std::vector<Expr>& extents,
                 const Reads& reads);

// The same of the results of a contraction nest and of what their epilogue reads. None where the
// digits' extents are not fixed.
Digits digits_of_results(const Graph& graph, const fusion::FusionPlan& plan,
                         const fusion::Nest& nest, Value contraction, const LoopAxis& axis,
                         const std::vector<Expr>& extents);

// An index in [0, extent) as a variable of the open block, if it is not one yet; and a flat index
// in its digits.
Expr bind_index(Values& values, Expr e, Expr extent);
std::vector<Expr> bind_digits(Values& values, const Digits& digits, Expr index);

// Whether axes of a contraction's left factor are the last of more results than the right one's.
// The product itself need not be a result: its transpose may be all that is stored.
bool results_end_left(const fusion::Nest& nest);

// `lanes` neighbours of an index, as pieces of which each stays in one run of the last digit. A
// lane of piece j has the last digit head + lane - j * run, where that lies in [0, run).
struct Cut {
  struct Piece {
    std::vector<Expr> outer;  // the digits before the last; in range, whatever the row
    Expr row;                 // of the last digit's runs
  };
  std::vector<Piece> pieces;
  Expr head, run, rows;
  int64_t lanes;

  Expr last_digit(size_t piece, Expr lane) const {
    return head + lane - static_cast<int64_t>(piece) * run;
  }
};

// Cuts the lanes from the flat index `first`; what all lanes share becomes variables of the open
// block.
Cut cut_lanes(Values& values, const Digits& digits, Expr first, int64_t lanes);

// In a vector loop: calls `body` with the digits of the lane's piece, for each piece where it is
// the lane's; no lane past the end of the index has one.
void each_piece(Values& values, const Cut& cut, Expr lane,
                const std::function<void(const std::vector<Expr>& digits)>& body);

// Calls `body` for the flat indices [start, start + length), in row-major order or with the first
// digit innermost, with the digits' indices and the number of the step.
enum class Innermost : uint8_t { last_digit, first_digit };
void each_index(Values& values, const Digits& digits, Innermost innermost, Expr start, Expr length,
                const std::function<void(const std::vector<Expr>& digits, Expr step)>& body);

}  // namespace plait::lower

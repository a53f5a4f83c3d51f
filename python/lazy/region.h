// Parts of arrays that slices and selections show, copied without a program: which part it is
// changes from call to call (batches of a data set, elements in a loop), and programs hold it.
#pragma once

#include <optional>

#include "python/lazy/tensor.h"

namespace plait::lazy {

// A part of an array: along each axis `count` elements from `start` on, `step` apart.
class Region {
 public:
  explicit Region(std::vector<int64_t> shape);  // the whole

  // What the op (select, narrow or slice) leaves of the part; false for other ops and for sizes
  // that are no numbers.
  bool narrow_by(const OpRecord& op, const std::vector<CallArgument>& arguments);

  Array read(const Array& whole) const;
  void write(Array& whole, const Array& part) const;

 private:
  struct Axis {
    int64_t size, start, step, count;
    bool kept;  // an axis of the part
  };
  Axis* kept_axis(int64_t dim);
  template <class F>
  void for_each_run(size_t element_size, const F& f) const;

  std::vector<Axis> axes_;
};

// Gives the node its value if it is a part of memory that is known and no gradients are asked
// through it. False if it is not.
bool take_part(const NodePtr& node);
// The same for writing: the region of the cell's array that the views show.
std::optional<Region> region_of(const View& view, const Type& cell);

}  // namespace plait::lazy

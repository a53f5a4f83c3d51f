// Sliding windows over the spatial axes of (batch, channels, …), for convolution and pooling.
#pragma once

#include "ops/tensor.h"

namespace plait::detail {

// One number per spatial axis; positions outside the input are padding.
struct Windows {
  std::vector<int64_t> kernel, stride, before, after, dilation;
  Shape output;  // the number of windows along each axis
};

// How many windows fit along an axis; UserError if the kernel is longer than the padded axis.
// With `ceil_mode` a last window may hang over the end if it starts inside the input or before it.
Windows make_windows(const Tensor& input, std::vector<int64_t> kernel, std::vector<int64_t> stride,
                     std::vector<int64_t> before, std::vector<int64_t> after,
                     std::vector<int64_t> dilation, bool ceil_mode);

// Padding as users give it: one number, one per axis, or a (before, after) pair per axis.
struct Padding {
  std::vector<int64_t> before, after;
};
Padding expand_padding(const IntList& padding, int64_t axes);

// The input position of tap k of window o along spatial axis `axis`.
Expr window_position(const Windows& windows, int64_t axis, Expr o, Expr k);

}  // namespace plait::detail

#include "core/io/array_bytes.h"

#include <algorithm>
#include <cstring>

namespace plait {

std::optional<uint64_t> checked_bytes(DType dtype, std::span<const int64_t> shape) {
  // Extents of zero do not hide an overflow of the others: the shape would be unusable.
  int64_t bytes = static_cast<int64_t>(dtype_size(dtype));
  bool empty = false;
  for (int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    if (extent == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(bytes, extent, &bytes)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

void swap_byte_order(std::span<std::byte> bytes, size_t element_size) {
  for (size_t i = 0; i + element_size <= bytes.size(); i += element_size) {
    std::reverse(bytes.begin() + i, bytes.begin() + i + element_size);
  }
}

void normalise_booleans(Array& array) {
  if (array.dtype != DType::boolean) return;
  auto* bytes = array.data<uint8_t>();
  for (int64_t i = 0, n = array.count(); i < n; ++i) bytes[i] = bytes[i] != 0;
}

Array from_column_major(const Array& array) {
  Array result = Array::empty(array.dtype, array.shape);
  const size_t size = dtype_size(array.dtype);
  const size_t rank = array.shape.size();
  std::vector<int64_t> strides(rank), index(rank, 0);  // strides in elements of the source
  int64_t stride = 1;
  for (size_t axis = 0; axis < rank; ++axis) {
    strides[axis] = stride;
    stride *= array.shape[axis];
  }
  int64_t source = 0;
  for (int64_t target = 0, n = array.count(); target < n; ++target) {
    std::memcpy(result.data<std::byte>() + static_cast<size_t>(target) * size,
                array.data<std::byte>() + static_cast<size_t>(source) * size, size);
    for (size_t axis = rank; axis-- > 0;) {
      source += strides[axis];
      if (++index[axis] < array.shape[axis]) break;
      source -= strides[axis] * array.shape[axis];
      index[axis] = 0;
    }
  }
  return result;
}

}  // namespace plait

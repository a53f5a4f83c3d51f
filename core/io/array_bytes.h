// What the array file formats share: byte counts that cannot overflow, and putting bytes that came
// from outside into the form that arrays have in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/slot.h"

namespace plait {

// Bytes of a tensor; nothing if an extent is negative or the count leaves 63 bits.
std::optional<uint64_t> checked_bytes(DType dtype, std::span<const int64_t> shape);

// Reverses the bytes of each element.
void swap_byte_order(std::span<std::byte> bytes, size_t element_size);

// Booleans become 0 or 1; other dtypes stay.
void normalise_booleans(Array& array);

// The row-major form of elements stored in column-major (Fortran) order.
Array from_column_major(const Array& array);

}  // namespace plait

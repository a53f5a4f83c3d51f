// NumPy's .npy files, format versions 1 to 3.
//
// bf16, which NumPy lacks, is stored as the two-byte void type `V2`, as NumPy itself stores the
// bfloat16 of ml_dtypes. Big-endian and column-major files are converted while they are read.
#pragma once

#include <filesystem>

#include "core/slot.h"

namespace plait {

// UserError names the file and what is wrong with it.
Array load_npy(const std::filesystem::path& path);
// Written atomically (file.h), version 1, row-major, little-endian.
void save_npy(const std::filesystem::path& path, const Array& array);

}  // namespace plait

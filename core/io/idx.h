// IDX files, plain or gzipped: the format of MNIST and its successors.
#pragma once

#include <filesystem>

#include "core/slot.h"

namespace plait {

// u8, i8, i16, i32, f32 or f64, as the file says. UserError names the file and what is wrong.
Array load_idx(const std::filesystem::path& path);

}  // namespace plait

// Arrays as text for people.
#pragma once

#include <string>

#include "core/slot.h"

namespace plait::tool {

// "[[1, 2], [3, 4]]"; of an axis longer than `edge` * 2 only the first and last `edge` entries are
// shown, with "…" between them.
std::string array_text(const Array& array, int64_t edge = 4);

}  // namespace plait::tool

#include "tools/plait/array_text.h"

namespace plait::tool {
namespace {

// `position` of the first element of the sub-array that begins at `axis`, of `count` elements.
void append(std::string& text, const Array& array, size_t axis, int64_t position, int64_t count,
            int64_t edge) {
  if (axis == array.shape.size()) {
    text += array.at(position).to_string();
    return;
  }
  const int64_t extent = array.shape[axis];
  const int64_t step = extent > 0 ? count / extent : 0;
  text += '[';
  for (int64_t i = 0; i < extent; ++i) {
    if (i > 0) text += ", ";
    if (i == edge && extent > 2 * edge) {
      text += "…, ";
      i = extent - edge;
    }
    append(text, array, axis + 1, position + i * step, step, edge);
  }
  text += ']';
}

}  // namespace

std::string array_text(const Array& array, int64_t edge) {
  std::string text;
  append(text, array, 0, 0, array.count(), edge);
  return text;
}

}  // namespace plait::tool

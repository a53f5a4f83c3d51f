// For error messages: the known names that are nearest to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace plait {

// Edits (insert, delete, replace, swap neighbours) that make one text the other; case costs
// nothing.
size_t edit_distance(std::string_view a, std::string_view b);

// "did you mean 'threads' or 'thread_count'?": up to three, the nearest first; all names if none
// is near and they are few. Never empty.
std::string nearest_names(std::string_view name, std::span<const std::string_view> known);

}  // namespace plait

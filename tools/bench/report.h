// Measurements as text for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace plait::bench {

// One line a work, with a line for each peer below it, after table_header(). Where there are two
// figures the first is by the median, the second by the best.
std::string table_header();
std::string table_rows(const nlohmann::json& result);
// The launches by falling time, if they were timed.
std::string launch_table(const nlohmann::json& result);
std::string limits_text(const nlohmann::json& result);

}  // namespace plait::bench

// plait dtypes: the promotion of mixed dtypes.
#include <fmt/format.h>

#include "core/dtype.h"
#include "tools/plait/verbs.h"

namespace plait::tool {
namespace {

std::string row(std::string_view head, const auto& columns, const auto& cell) {
  std::string text = fmt::format("| {} |", head);
  for (DType column : columns) text += fmt::format(" {} |", cell(column));
  return text + "\n";
}

// `result(row, column)` for each pair, as Markdown.
std::string table(std::string_view corner, const auto& columns, const auto& result) {
  std::string text = row(corner, columns, dtype_name);
  text += row("---", columns, [](DType) { return "---"; });
  for (DType r : kAllDTypes) {
    text += row(fmt::format("**{}**", dtype_name(r)), columns,
                [&](DType column) { return dtype_name(result(r, column)); });
  }
  return text;
}

}  // namespace

Verb add_dtypes(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("dtypes", "Print the promotion of mixed dtypes");
  return {verb, [] {
            constexpr DType kNumbers[] = {DType::boolean, DType::i64, DType::f64};
            fmt::print("Two tensors:\n\n{}\n", table("", kAllDTypes, promote));
            fmt::print("A tensor and a plain bool, integer or float:\n\n{}",
                       table("tensor", kNumbers, promote_scalar));
          }};
}

}  // namespace plait::tool

// The pass autocast, as text before and after.
#include "passes/autocast.h"

#include <catch2/catch.hpp>

#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "core/log.h"

namespace plait {
namespace {

std::string autocasted(const std::string& graph, const std::string& keep = "") {
  Options options;
  options.autocast = Autocast::bf16;
  options.autocast_keep = keep;
  const Graph result = autocast(parse_graph(graph), options);
  verify(result);
  CHECK(to_text(autocast(result, options)) == to_text(result));
  return to_text(result);
}

const char* const kLinear =
    "graph\n"
    "  %0 = input \"x\" : f32[3, 4]\n"
    "  %1 = input \"w\" : f32[5, 4]\n"
    "  %2 = unary exp %0 : f32[3, 4]\n"
    "  %3 = broadcast [0, 2] %2 : f32[3, 5, 4]\n"
    "  %4 = broadcast [1, 2] %1 : f32[3, 5, 4]\n"
    "  %5 = binary mul %3 %4 : f32[3, 5, 4]  @ net/head/linear\n"
    "  %6 = reduce sum [2] %5 : f32[3, 5]  @ net/head/linear\n"
    "  %7 = reduce sum [0] %0 : f32[4]\n"
    "  output \"y\" %6\n"
    "  output \"z\" %7\n";

}  // namespace

TEST_CASE("factors of products are rounded where they are computed, all else stays") {
  CHECK(autocasted(kLinear) ==
        "graph\n"
        "  %0 = input \"x\" : f32[3, 4]\n"
        "  %1 = input \"w\" : f32[5, 4]\n"
        "  %2 = unary exp %0 : f32[3, 4]\n"
        "  %3 = cast %2 : bf16[3, 4]  @ net/head/linear\n"
        "  %4 = cast %3 : f32[3, 4]  @ net/head/linear\n"
        "  %5 = broadcast [0, 2] %4 : f32[3, 5, 4]  @ net/head/linear\n"
        "  %6 = cast %1 : bf16[5, 4]  @ net/head/linear\n"
        "  %7 = cast %6 : f32[5, 4]  @ net/head/linear\n"
        "  %8 = broadcast [1, 2] %7 : f32[3, 5, 4]  @ net/head/linear\n"
        "  %9 = binary mul %5 %8 : f32[3, 5, 4]  @ net/head/linear\n"
        "  %10 = reduce sum [2] %9 : f32[3, 5]  @ net/head/linear\n"
        "  %11 = reduce sum [0] %0 : f32[4]\n"
        "  output \"y\" %10\n"
        "  output \"z\" %11\n");
}

TEST_CASE("the log tells how many products were rounded, and how many each name kept") {
  std::vector<std::string> lines;
  set_log_filter(LogFilter::parse("warn,passes/autocast=info"));
  set_log_sink([&](std::string_view text) { lines.emplace_back(text); });
  autocasted(kLinear, "head,haed");
  REQUIRE(lines.size() == 6);  // autocasted() runs the pass twice
  CHECK_THAT(lines[0], Catch::EndsWith("factors of 0 products rounded to bf16"));
  CHECK_THAT(lines[1], Catch::EndsWith("`head` keeps 1 in f32"));
  CHECK_THAT(lines[2], Catch::EndsWith("`haed` keeps 0 in f32"));
  set_log_sink(nullptr);
  set_log_filter({});
}

TEST_CASE("without the option, and in scopes that are kept, nothing changes") {
  CHECK(to_text(autocast(parse_graph(kLinear), {})) == kLinear);
  CHECK(autocasted(kLinear, "head") == kLinear);
  CHECK(autocasted(kLinear, "other,net/head") == kLinear);
  CHECK(autocasted(kLinear, "hea,net/linear") != kLinear);
}

TEST_CASE("products of f64, of gathered rows, and of padded windows") {
  std::string doubles = kLinear;
  for (size_t at; (at = doubles.find("f32")) != std::string::npos;) doubles.replace(at, 3, "f64");
  CHECK(autocasted(doubles) == doubles);
  const std::string start =
      "graph\n"
      "  %0 = input \"x\" : f32[6, 4]\n"
      "  %1 = input \"w\" : f32[5, 4]\n"
      "  %2 = input \"t\" : i64[3]\n";
  const std::string end =
      "  %4 = broadcast [0, 2] %3 : f32[3, 5, 4]\n"
      "  %5 = broadcast [1, 2] %1 : f32[3, 5, 4]\n"
      "  %6 = binary mul %4 %5 : f32[3, 5, 4]\n"
      "  %7 = reduce sum [2] %6 : f32[3, 5]\n"
      "  output \"y\" %7\n";
  auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  // The rows that are read, not the whole table.
  CHECK(
      has(autocasted(start + "  %3 = reindex [t0[i0], i1] fill 0 error %0 %2 : f32[3, 4]\n" + end),
          ": bf16[3, 4]"));
  // The image, not its windows.
  CHECK(has(autocasted(start + "  %3 = reindex [i0 + i1 - 1, i1] fill 0 %0 : f32[3, 4]\n" + end),
            ": bf16[6, 4]"));
  // A filling that is no bf16 number is rounded like what it stands beside.
  CHECK(has(autocasted(start + "  %3 = reindex [i0 + i1 - 1, i1] fill 0.1 %0 : f32[3, 4]\n" + end),
            ": bf16[3, 4]"));
}

}  // namespace plait

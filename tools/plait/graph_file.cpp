#include "tools/plait/graph_file.h"

#include <iostream>
#include <iterator>

#include "core/error.h"
#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "core/io/file.h"

namespace plait::tool {

Graph load_graph(const std::string& file) {
  std::string text;
  if (file == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    const auto bytes = read_file("plait", file);
    text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  try {
    Graph graph = parse_graph(text);
    verify(graph);
    return graph;
  } catch (const UserError& error) {
    throw UserError(fmt::format("{}: {}", file == "-" ? "standard input" : file, error.what()));
  }
}

void save_text(const std::string& file, const std::string& text) {
  if (file == "-") {
    fmt::print("{}", text);
  } else {
    write_file_atomic("plait", file, text);
  }
}

}  // namespace plait::tool

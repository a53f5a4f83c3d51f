// Graph texts (core/graph/text.h) as files.
#pragma once

#include <string>

#include "core/graph/graph.h"

namespace plait::tool {

// "-" is the standard input. UserErrors begin with the file's name.
Graph load_graph(const std::string& file);

// "-" is the standard output; a file is written atomically.
void save_text(const std::string& file, const std::string& text);

}  // namespace plait::tool

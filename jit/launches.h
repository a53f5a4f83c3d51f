// The launches of a program: lowered groups in order, equal kernels compiled once, and independent
// groups with one kernel joined to one launch.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/target.h"
#include "jit/lower/lower.h"

namespace plait {

// One run of a kernel over its own buffers.
struct Segment {
  size_t kernel;  // of the list
  size_t group;   // of the fusion plan
  std::vector<lower::Binding> buffers;
  std::vector<Expr> sizes;
  std::vector<Value> axis_owners;
  std::string name;                 // scope and content: gpt.h.0.attn.softmax_f32_2048x128
  std::vector<std::string> scopes;  // of what it stores
};

// Segments that run side by side, phase by phase: of one kernel, and small ones of any.
struct Launch {
  std::vector<Segment> segments;
};

struct LaunchList {
  std::vector<kernel::Kernel> kernels;  // each once; named by content
  std::vector<Launch> launches;
};

// The name of a kernel that reads `text` under the name "kernel".
std::string content_name(const std::string& text);

LaunchList make_launches(const Graph& graph, const fusion::FusionPlan& plan, const Target& target);

}  // namespace plait

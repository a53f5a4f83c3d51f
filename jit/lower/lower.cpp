#include "jit/lower/lower.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/log.h"
#include "jit/kernel/types.h"
#include "jit/lower/nests.h"

namespace plait::lower {
namespace {

// Calls f on every expression of the kernel.
template <class F>
void for_each_expression(kernel::Block& block, F&& f) {
  for (kernel::Instruction& instruction : block) {
    f(instruction.expression);
    for (kernel::Place& place : instruction.places) f(place.at);
    for (Expr* e : {&instruction.pitch, &instruction.rows, &instruction.columns}) f(*e);
    for_each_expression(instruction.body, f);
  }
}

template <class F>
void for_each_expression(kernel::Kernel& kernel, F&& f) {
  for (kernel::Buffer& buffer : kernel.buffers) f(buffer.size);
  for (kernel::ErrorSite& site : kernel.sites) f(site.extent);
  for (kernel::Phase& phase : kernel.phases) {
    f(phase.extent);
    for_each_expression(phase.body, f);
  }
}

void renumber_buffers(kernel::Block& block, const std::vector<kernel::BufferId>& to) {
  for (kernel::Instruction& instruction : block) {
    if (kernel::class_of(instruction.op) == kernel::OpClass::memory) {
      instruction.buffer = to[instruction.buffer];
    }
    for (kernel::Place& place : instruction.places) place.buffer = to[place.buffer];
    renumber_buffers(instruction.body, to);
  }
}

// Parameters first, then workspaces, then the buffers of one thread; names by position, so that
// equal kernels have equal texts.
void order_buffers(LoweredGroup& group) {
  kernel::Kernel& kernel = group.kernel;
  std::vector<kernel::BufferId> order(kernel.buffers.size());
  for (kernel::BufferId id = 0; id < order.size(); ++id) order[id] = id;
  std::stable_sort(order.begin(), order.end(), [&](kernel::BufferId a, kernel::BufferId b) {
    return kernel.buffers[a].scope < kernel.buffers[b].scope;
  });
  std::vector<kernel::BufferId> to(order.size());
  std::vector<kernel::Buffer> buffers;
  std::vector<Binding> bindings;
  group.buffers.resize(kernel.buffers.size());
  for (kernel::BufferId position = 0; position < order.size(); ++position) {
    to[order[position]] = position;
    kernel::Buffer buffer = kernel.buffers[order[position]];
    while (!buffer.name.empty() && buffer.name.back() >= '0' && buffer.name.back() <= '9') {
      buffer.name.pop_back();
    }
    buffer.name += std::to_string(position);
    const bool passed = buffer.scope == kernel::BufferScope::parameter ||
                        buffer.scope == kernel::BufferScope::workspace;
    if (passed) bindings.push_back(group.buffers[order[position]]);
    buffers.push_back(std::move(buffer));
  }
  kernel.buffers = std::move(buffers);
  group.buffers = std::move(bindings);
  for (kernel::Phase& phase : kernel.phases) renumber_buffers(phase.body, to);
}

// All sizes that the kernel names become its arguments.
void collect_symbols(LoweredGroup& group) {
  std::set<std::string> known(group.kernel.symbols.begin(), group.kernel.symbols.end());
  for_each_expression(group.kernel, [&](Expr e) {
    for (Expr symbol : symbols_of(e)) {
      if (!known.insert(symbol.name()).second) continue;
      group.kernel.symbols.push_back(symbol.name());
      group.sizes.push_back(symbol);
    }
  });
}

}  // namespace

LoweredGroup lower_group(const Graph& graph, const fusion::FusionPlan& plan,
                         const fusion::Group& group, const Target& target) {
  LoweredGroup result;
  kernel::Builder builder(result.kernel);
  Values values(graph, plan, builder, result);
  for (const fusion::Nest& nest : group.nests) {
    const NestContext context{graph, plan, nest, target, result, values, group.nests.size() == 1};
    switch (nest.kind) {
      case fusion::NestKind::loops:
        lower_loops(context);
        break;
      case fusion::NestKind::contraction:
        lower_contraction(context);
        break;
      case fusion::NestKind::scatter:
        lower_scatter(context);
        break;
      case fusion::NestKind::scan:
        lower_scan(context);
        break;
      case fusion::NestKind::sort:
        lower_sort(context);
        break;
    }
  }
  for (const std::string& step : result.kernel.schedule) PLAIT_LOG(debug, "{}", step);
  order_buffers(result);
  collect_symbols(result);
  return result;
}

}  // namespace plait::lower

#include "jit/memory_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "jit/program_impl.h"
#include "jit/thread_pool.h"

namespace plait {
namespace {

constexpr size_t kAlignment = 64;

size_t rounded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

int64_t number(Expr e, const SymbolValues& symbols) {
  return evaluate(
      e, [](uint32_t id) -> int64_t { PLAIT_UNREACHABLE("variable {} in a size", id); }, symbols);
}

std::string type_text(const Type& type, const SymbolValues& symbols) {
  std::vector<int64_t> shape;
  for (Expr e : type.shape) shape.push_back(number(e, symbols));
  return fmt::format("{}[{}]", dtype_name(type.dtype), fmt::join(shape, ", "));
}

void add_origin(const Graph& graph, Value v, BufferUse& use) {
  const std::span<const Origin> origins = graph.origins(v);
  if (origins.empty()) return;
  use.scope = origins[0].scope;
  use.file = origins[0].file;
  use.line = origins[0].line;
}

std::string row(const BufferUse& use) {
  std::string text = fmt::format("{:>14} {:12} {}", use.bytes, name_of(use.role), use.what);
  if (!use.type.empty()) text += " " + use.type;
  if (!use.scope.empty()) text += " @ " + use.scope;
  if (!use.file.empty()) text += fmt::format(" ({}:{})", use.file, use.line);
  return text;
}

}  // namespace

const char* name_of(BufferRole role) {
  switch (role) {
    case BufferRole::intermediate:
      return "intermediate";
    case BufferRole::workspace:
      return "workspace";
    case BufferRole::output:
      return "output";
    case BufferRole::slot:
      return "slot";
    case BufferRole::scratch:
      return "scratch";
    case BufferRole::unused:
      return "unused";
  }
  PLAIT_UNREACHABLE("role {}", static_cast<int>(role));
}

std::vector<BufferUse> MemoryReport::at_peak() const {
  std::vector<BufferUse> alive;
  for (const BufferUse& use : buffers) {
    if (use.first <= launch && launch <= use.last) alive.push_back(use);
  }
  std::stable_sort(alive.begin(), alive.end(),
                   [](const BufferUse& a, const BufferUse& b) { return a.bytes > b.bytes; });
  return alive;
}

std::string to_text(const MemoryReport& report) {
  std::string text = fmt::format("{} bytes at launch {}{}\n", report.peak_bytes, report.launch,
                                 report.kernel.empty() ? "" : " (" + report.kernel + ")");
  for (const BufferUse& use : report.at_peak()) text += row(use) + "\n";
  text += "launches\n";
  for (const BufferUse& use : report.buffers) {
    text += fmt::format("{:>6}-{:<6} {}\n", use.first, use.last, row(use));
  }
  return text;
}

MemoryReport Program::Impl::memory_report() const {
  PLAIT_CHECK(bound_.has_value(), "memory_report",
              "the sizes are symbols, whose values are those of the last run. hint: run it once");
  const SymbolValues& symbols = bound_->symbols;
  const size_t last = list_.launches.empty() ? 0 : list_.launches.size() - 1;
  MemoryReport report;
  report.launch = bound_->memory.peak;
  if (!list_.launches.empty()) {
    report.kernel = list_.launches[report.launch].segments.front().name;
  }

  std::vector<Value> value_of(storage_.arena.size(), kNoValue);
  for (Value v = 0; v < graph_.size(); ++v) {
    const Location at = storage_.values[v];
    if (at.place == Place::arena) value_of[at.index] = v;
  }
  for (size_t i = 0; i < storage_.arena.size(); ++i) {
    const ArenaItem& item = storage_.arena[i];
    const size_t bytes = rounded(bound_->memory.sizes[i]);
    if (bytes == 0) continue;
    BufferUse use{BufferRole::workspace, "", "", bytes, item.first, item.last, "", "", 0};
    if (const Value v = value_of[i]; v != kNoValue) {
      use.role = BufferRole::intermediate;
      use.what = fmt::format("%{} {}", v, name_of(graph_.node(v).op));
      use.type = type_text(graph_.type(v), symbols);
      add_origin(graph_, v, use);
    } else {
      use.what = list_.launches[item.first].segments[item.segment.value_or(0)].name;
    }
    report.buffers.push_back(std::move(use));
  }
  for (size_t i = 0; i < graph_.outputs().size(); ++i) {
    const Output& output = graph_.outputs()[i];
    const Type& type = graph_.type(output.value);
    size_t bytes = dtype_size(type.dtype);
    for (int64_t size : bound_->output_shapes[i]) bytes *= static_cast<size_t>(size);
    if (bytes == 0) continue;
    BufferUse use{
        BufferRole::output, output.name, type_text(type, symbols), bytes, 0, last, "", "", 0};
    add_origin(graph_, output.value, use);
    report.buffers.push_back(std::move(use));
  }
  for (const AssignState& assign : storage_.assigns) {
    const Slot& slot = *storage_.slots[assign.slot];
    const size_t bytes = slot.value().bytes();
    if (assign.in_place || bytes == 0) continue;
    BufferUse use{
        BufferRole::slot, slot.name(), type_text(slot.type(), symbols), bytes, 0, last, "", "", 0};
    add_origin(graph_, assign.value, use);
    report.buffers.push_back(std::move(use));
  }
  const auto add = [&](BufferRole role, size_t bytes) {
    if (bytes > 0) report.buffers.push_back({role, "", "", bytes, 0, last, "", "", 0});
  };
  add(BufferRole::unused, bound_->memory.bytes - bound_->memory.most_alive);
  const auto threads = static_cast<size_t>(ThreadPool::get(threads_).threads());
  add(BufferRole::scratch, threads * bound_->local_bytes);

  std::stable_sort(report.buffers.begin(), report.buffers.end(),
                   [](const BufferUse& a, const BufferUse& b) {
                     return a.first != b.first ? a.first < b.first : a.bytes > b.bytes;
                   });
  for (const BufferUse& use : report.at_peak()) report.peak_bytes += use.bytes;
  return report;
}

}  // namespace plait

#include "python/lazy/capture.h"

#include "core/error.h"

namespace plait::lazy {
namespace {

thread_local Capture* innermost = nullptr;
uint64_t next_trace = 0;

}  // namespace

Capture::Capture() : id_(++next_trace), outer_(innermost) { innermost = this; }

Capture::~Capture() { end(); }

void Capture::end() {
  if (active_) innermost = outer_;
  active_ = false;
}

Capture* Capture::current() { return innermost; }

Capture::External& Capture::external(const std::shared_ptr<Cell>& cell, const Ref& present) {
  const auto [it, is_new] = index_.emplace(cell.get(), externals_.size());
  if (is_new) {
    Ref input = present;
    if (!cell->slot()) {
      input = placeholder_node("captured" + std::to_string(externals_.size()), present.type());
      input.node->requires_grad = present.node->requires_grad;
    }
    externals_.push_back({cell, input, input, std::nullopt});
  }
  return externals_[it->second];
}

void Capture::bind(const std::shared_ptr<Cell>& cell, size_t argument, Ref input) {
  if (!index_.emplace(cell.get(), externals_.size()).second) return;
  externals_.push_back({cell, input, input, argument});
}

Ref Capture::read(const std::shared_ptr<Cell>& cell, const Ref& present) {
  return external(cell, present).now;
}

void Capture::write(const std::shared_ptr<Cell>& cell, const Ref& present, Ref value) {
  external(cell, present).now = std::move(value);
}

void check_not_capturing(const char* what) {
  PLAIT_CHECK(!Capture::current(), what,
              "values are not known while plait.compile captures a function. hint: return the "
              "tensor, and look at it outside");
}

}  // namespace plait::lazy

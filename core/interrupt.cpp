#include "core/interrupt.h"

#include <chrono>

namespace plait {
namespace {

using Clock = std::chrono::steady_clock;

thread_local const std::function<void()>* current = nullptr;
thread_local Clock::time_point next_time;

}  // namespace

InterruptCheck::InterruptCheck(std::function<void()> check)
    : check_(std::move(check)), outer_(current) {
  current = &check_;
}

InterruptCheck::~InterruptCheck() { current = outer_; }

void check_interrupt() {
  if (!current) return;
  const Clock::time_point now = Clock::now();
  if (now < next_time) return;
  next_time = now + std::chrono::milliseconds(50);
  (*current)();
}

}  // namespace plait

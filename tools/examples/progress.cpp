#include "tools/examples/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace plait::examples {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

Progress::Progress(int64_t first, int64_t total, int64_t tokens_per_step, int64_t plain_every)
    : first_(first),
      total_(total),
      tokens_per_step_(tokens_per_step),
      plain_every_(plain_every),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()) {}

Progress::~Progress() {
  if (drawn_) std::fputc('\n', stderr);
}

void Progress::clear() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

void Progress::update(int64_t done, double loss) {
  const bool last = done == total_;
  if (terminal_ ? !last && drawn_ && seconds_since(last_draw_) < 0.1
                : !last && done % plain_every_ != 0) {
    return;
  }
  const double elapsed = seconds_since(start_);
  const double steps = static_cast<double>(done - first_);
  const double rate = elapsed > 0 ? steps / elapsed : 0;
  const double left = rate > 0 ? static_cast<double>(total_ - done) / rate : 0;
  const std::string text =
      fmt::format("step {}/{}  loss {:.4f}  {:.0f} tokens/s  {} left", done, total_, loss,
                  rate * static_cast<double>(tokens_per_step_), clock_text(left));
  if (terminal_) {
    constexpr int64_t kWidth = 24;
    const auto full = static_cast<size_t>(kWidth * done / total_);
    fmt::print(stderr, "\r\x1b[K[{:<{}}] {}", std::string(full, '='), kWidth, text);
    std::fflush(stderr);
    drawn_ = true;
    last_draw_ = Clock::now();
  } else {
    fmt::print(stderr, "{}\n", text);
  }
}

}  // namespace plait::examples

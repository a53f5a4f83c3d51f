// Times of calls, and contestants that take turns so that a noisy minute hits them all.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace plait::bench {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Seconds a call.
struct Times {
  std::vector<double> samples;
  double best() const;    // infinity without samples
  double median() const;  // infinity without samples
  std::string error;      // why there are no more; empty if all went well
};

class Contestant {
 public:
  virtual ~Contestant() = default;
  // `samples` times in a row, each over `calls` calls; seconds a call.
  virtual std::vector<double> time(int64_t samples, int64_t calls) = 0;
};

// A contestant in this process.
class Local : public Contestant {
 public:
  explicit Local(std::function<void()> call) : call_(std::move(call)) {}
  std::vector<double> time(int64_t samples, int64_t calls) override;

 private:
  std::function<void()> call_;
};

// Each warms up with two calls; then they take turns until each has at least five samples and
// `seconds` of its own. A turn of a short call is a burst of samples after one that is not kept.
// One that throws is out, and the others go on.
std::vector<Times> take_turns(const std::vector<Contestant*>& contestants, double seconds);

// Of this process, since the last reset.
void reset_peak_rss();
size_t peak_rss();

}  // namespace plait::bench

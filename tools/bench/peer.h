// Another framework doing the same work in a Python process of its own (peers.py), call by call.
#pragma once

#include <filesystem>
#include <optional>

#include "tools/bench/subprocess.h"
#include "tools/bench/timing.h"
#include "tools/bench/work.h"

namespace plait::bench {

// "torch" (eager), "compile" (torch.compile), "jax".
class Peer : public Contestant {
 public:
  // `data`: a safetensors file of the work's inputs and slots, all that the peer needs.
  Peer(const std::string& python, const std::string& framework, const std::string& work,
       const std::filesystem::path& data, int64_t threads);

  const std::string& framework() const { return framework_; }
  // The first call, with whatever is compiled for it; seconds.
  double first_call();
  std::vector<double> time(int64_t samples, int64_t calls) override;
  // Writes the results of the latest call as safetensors: "0", "1", ….
  void write_results(const std::filesystem::path& file);
  size_t peak_rss();

 private:
  // The answer's words after its name; UserError with the peer's own text if it failed.
  std::vector<std::string> ask(const std::string& line, const std::string& answer);

  std::string framework_;
  Subprocess process_;
};

// The largest difference between a peer's results and `ours`, relative to the root mean square of
// each of ours; infinity if shapes differ or one is missing.
double largest_difference(const std::vector<Array>& ours, const std::filesystem::path& results);

}  // namespace plait::bench

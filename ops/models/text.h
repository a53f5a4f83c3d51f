// A text as bytes for language models: a training part, a held-out part, and batches of windows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "core/slot.h"

namespace plait::models {

// Windows of a text: row r of `targets` is row r of `tokens` one byte on. Both i64[rows, length].
struct TextBatch {
  Array tokens, targets;
};

class TextData {
 public:
  // The last tenth of the bytes (rounded down) is held out.
  explicit TextData(std::vector<uint8_t> text);
  static TextData load(const std::filesystem::path& path);  // UserError as read_file

  int64_t size() const { return static_cast<int64_t>(text_.size()); }
  int64_t training_size() const { return training_size_; }
  uint32_t checksum() const;  // CRC-32 of the whole text

  // The batch of a step, a function of (seed, step) alone: row r starts at the offset
  // floor(bits · n / 2^32), bits the Philox word of element r at (seed, step, kBatchSalt), n the
  // count of windows in the training part. UserError if the part is shorter than a window.
  TextBatch training_batch(int64_t seed, int64_t step, int64_t rows, int64_t length) const;

  // The held-out part as windows that share no target, one after the other.
  int64_t held_out_batches(int64_t rows, int64_t length) const;  // whole batches
  TextBatch held_out_batch(int64_t index, int64_t rows, int64_t length) const;

  TextBatch windows(std::span<const int64_t> offsets, int64_t length) const;

 private:
  std::vector<uint8_t> text_;
  int64_t training_size_;
};

// Apart from the salts of traces, initial values and samples.
inline constexpr uint64_t kBatchSalt = 0xFFFFFFFD;

}  // namespace plait::models

#include "ops/models/text.h"

#include <zlib.h>

#include "core/error.h"
#include "core/io/file.h"
#include "core/random.h"

namespace plait::models {

TextData::TextData(std::vector<uint8_t> text) : text_(std::move(text)) {
  training_size_ = size() - size() / 10;
}

TextData TextData::load(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file("text", path);
  const auto* first = reinterpret_cast<const uint8_t*>(bytes.data());
  return TextData(std::vector<uint8_t>(first, first + bytes.size()));
}

uint32_t TextData::checksum() const {
  return static_cast<uint32_t>(crc32_z(crc32_z(0, nullptr, 0), text_.data(), text_.size()));
}

TextBatch TextData::windows(std::span<const int64_t> offsets, int64_t length) const {
  const auto rows = static_cast<int64_t>(offsets.size());
  TextBatch batch = {Array::empty(DType::i64, {rows, length}),
                     Array::empty(DType::i64, {rows, length})};
  auto* tokens = batch.tokens.data<int64_t>();
  auto* targets = batch.targets.data<int64_t>();
  for (int64_t offset : offsets) {
    PLAIT_CHECK(offset >= 0 && offset < size() - length, "text",
                "a window of {} bytes and its targets must lie in the text; got offset {} of {}",
                length, offset, size());
    for (int64_t i = 0; i < length; ++i) {
      *tokens++ = text_[offset + i];
      *targets++ = text_[offset + i + 1];
    }
  }
  return batch;
}

TextBatch TextData::training_batch(int64_t seed, int64_t step, int64_t rows, int64_t length) const {
  const int64_t count = training_size_ - length;
  PLAIT_CHECK(count > 0, "text", "the training part is too short; got {} bytes for windows of {}",
              training_size_, length + 1);
  std::vector<int64_t> offsets;
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t bits = random::element_bits(static_cast<uint64_t>(row), seed, step, kBatchSalt);
    offsets.push_back(static_cast<int64_t>((bits * static_cast<uint64_t>(count)) >> 32));
  }
  return windows(offsets, length);
}

int64_t TextData::held_out_batches(int64_t rows, int64_t length) const {
  const int64_t windows = (size() - training_size_ - 1) / length;
  return windows < 0 ? 0 : windows / rows;
}

TextBatch TextData::held_out_batch(int64_t index, int64_t rows, int64_t length) const {
  std::vector<int64_t> offsets;
  for (int64_t row = 0; row < rows; ++row) {
    offsets.push_back(training_size_ + (index * rows + row) * length);
  }
  return windows(offsets, length);
}

}  // namespace plait::models

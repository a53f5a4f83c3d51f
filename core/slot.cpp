#include "core/slot.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace plait {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
std::atomic<size_t> live_bytes_total = 0;
std::atomic<uint64_t> allocation_count = 0;

// Pages of 4 KiB cost a kernel that streams through memory up to a quarter of its time in address
// translation. Whole huge pages only, so that nothing beyond `size` becomes resident; where the
// system has none, ordinary pages serve.
void* allocate_aligned(size_t size) {
  void* data = nullptr;
  if (posix_memalign(&data, size < kHugePage ? kAlignment : kHugePage, size) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
  if (size >= kHugePage) madvise(data, size / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return data;
}

}  // namespace

Buffer::Buffer(void* data, size_t size, std::shared_ptr<void> owner)
    : data_(data), size_(size), owner_(std::move(owner)), owned_(owner_ == nullptr) {
  if (owned_) live_bytes_total += size_;
}

Buffer::~Buffer() {
  if (!owned_) return;
  live_bytes_total -= size_;
  std::free(data_);
}

std::shared_ptr<Buffer> Buffer::allocate(size_t size) {
  const size_t rounded = (size + kAlignment - 1) / kAlignment * kAlignment;
  void* data = rounded < size ? nullptr : allocate_aligned(std::max(rounded, kAlignment));
  if (!data) throw DeviceError(fmt::format("out of memory: cannot allocate {} bytes", size));
  ++allocation_count;
  return std::shared_ptr<Buffer>(new Buffer(data, size, nullptr));
}

std::shared_ptr<Buffer> Buffer::foreign(void* data, size_t size, std::shared_ptr<void> owner) {
  PLAIT_INTERNAL_CHECK(owner != nullptr, "foreign memory needs an owner");
  return std::shared_ptr<Buffer>(new Buffer(data, size, std::move(owner)));
}

size_t Buffer::live_bytes() { return live_bytes_total; }

uint64_t Buffer::allocations() { return allocation_count; }

Array Array::empty(DType dtype, std::vector<int64_t> shape) {
  Array array{dtype, std::move(shape), nullptr};
  array.buffer = Buffer::allocate(array.bytes());
  return array;
}

Array Array::full(DType dtype, std::vector<int64_t> shape, Scalar value) {
  Array array = empty(dtype, std::move(shape));
  const Scalar element = value.cast(dtype);
  const size_t size = dtype_size(dtype);
  auto* bytes = array.data<std::byte>();
  for (int64_t i = 0, n = array.count(); i < n; ++i) element.store(bytes + i * size);
  return array;
}

int64_t Array::count() const {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

Scalar Array::at(int64_t index) const {
  PLAIT_INTERNAL_CHECK(index >= 0 && index < count(), "element {} of {}", index, count());
  return Scalar::load(dtype, data<std::byte>() + static_cast<size_t>(index) * dtype_size(dtype));
}

double Array::item() const {
  PLAIT_CHECK(count() == 1, "item", "needs exactly one element; got {} ({} elements)",
              to_string(type()), count());
  return at(0).as_double();
}

Array Array::clone() const {
  Array copy = empty(dtype, shape);
  if (bytes() > 0) std::memcpy(copy.buffer->data(), buffer->data(), bytes());
  return copy;
}

Type Array::type() const {
  Type type{dtype, {}};
  for (int64_t extent : shape) type.shape.push_back(extent);
  return type;
}

Slot::Slot(std::string name, Array value, bool trainable)
    : name_(std::move(name)),
      type_(value.type()),
      value_(std::move(value)),
      trainable_(trainable) {}

void Slot::set(Array value) {
  PLAIT_CHECK(value.type() == type_, "slot", "'{}' keeps its type; got {} for {}", name_,
              to_string(value.type()), to_string(type_));
  value_ = std::move(value);
  ++version_;
}

}  // namespace plait

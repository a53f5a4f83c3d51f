// Slots: the state that outlives graphs and runs (parameters, optimizer state, buffers).
// Storage is reference counted; a slot's value is replaced, never changed while somebody holds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/shape.h"

namespace plait {

// 64-byte aligned memory, in huge pages from 2 MiB on. `size` bytes are usable.
class Buffer {
 public:
  static std::shared_ptr<Buffer> allocate(size_t size);  // DeviceError names the size if it fails
  // Memory that somebody else owns; `owner` is kept alive.
  static std::shared_ptr<Buffer> foreign(void* data, size_t size, std::shared_ptr<void> owner);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  size_t size() const { return size_; }
  bool is_owned() const { return owned_; }  // allocate() made it
  static size_t live_bytes();               // all buffers of the process that allocate() made
  static uint64_t allocations();            // calls of allocate() so far

 private:
  Buffer(void* data, size_t size, std::shared_ptr<void> owner);
  void* data_;
  size_t size_;
  std::shared_ptr<void> owner_;
  bool owned_;
};

// A concrete array: row-major elements of `dtype`.
struct Array {
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  std::shared_ptr<Buffer> buffer;

  static Array empty(DType dtype, std::vector<int64_t> shape);  // uninitialised
  static Array full(DType dtype, std::vector<int64_t> shape, Scalar value);
  template <class T>
  T* data() const {
    return static_cast<T*>(buffer->data());
  }
  int64_t count() const;
  size_t bytes() const { return static_cast<size_t>(count()) * dtype_size(dtype); }
  Scalar at(int64_t index) const;  // by row-major position
  double item() const;             // UserError unless there is exactly one element
  Array clone() const;
  Type type() const;
};

class Slot {
 public:
  Slot(std::string name, Array value, bool trainable = true);
  const std::string& name() const { return name_; }
  void rename(std::string name) { name_ = std::move(name); }
  const Type& type() const { return type_; }
  bool trainable() const { return trainable_; }
  uint64_t version() const { return version_; }

  const Array& value() const { return value_; }
  void set(Array value);  // UserError unless dtype and shape agree

 private:
  std::string name_;
  Type type_;
  Array value_;
  bool trainable_;
  uint64_t version_ = 0;
};

// A slot and what it is called in a model or a checkpoint.
struct NamedSlot {
  std::string name;
  std::shared_ptr<Slot> slot;
};

}  // namespace plait

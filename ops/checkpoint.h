// Checkpoints: the values of slots in one safetensors file.
//
// A checkpoint of training holds all that the next step reads (model.state(), optimizer.state(),
// the trainer's own counters), so a resumed run gives the bits of an uninterrupted one.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "core/io/safetensors.h"
#include "core/slot.h"

namespace plait {

// Writes atomically: on any failure the file that was there stays. The metadata gets a CRC-32 of
// each tensor's bytes, under `crc32.NAME`. UserError if two slots have one name.
void save_checkpoint(const std::filesystem::path& path, std::span<const NamedSlot> slots,
                     const Metadata& metadata = {});

struct LoadOptions {
  // Whether the file may hold tensors that no slot has, such as an optimizer's beside the weights.
  bool ignore_unexpected = false;
};

// Sets all slots, or none if anything is wrong: a slot's name is missing in the file, the file has
// one more, dtype or shape differ, or a checksum does (a file without checksums has none to
// differ). UserError names them. Returns the metadata without the checksums.
Metadata load_checkpoint(const std::filesystem::path& path, std::span<const NamedSlot> slots,
                         const LoadOptions& options = {});

}  // namespace plait

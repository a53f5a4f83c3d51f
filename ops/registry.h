// The families of composite ops: one function per file of records.
#pragma once

#include <vector>

#include "ops/op_record.h"

namespace plait {

std::vector<OpRecord> activation_ops();
std::vector<OpRecord> elementwise_ops();

}  // namespace plait

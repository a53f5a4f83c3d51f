// The families of composite ops: one function per file of records.
#pragma once

#include <vector>

#include "ops/op_record.h"

namespace plait {

std::vector<OpRecord> activation_ops();
std::vector<OpRecord> arithmetic_ops();
std::vector<OpRecord> attention_ops();
std::vector<OpRecord> conv_ops();
std::vector<OpRecord> creation_ops();
std::vector<OpRecord> distance_ops();
std::vector<OpRecord> einsum_ops();
std::vector<OpRecord> elementwise_ops();
std::vector<OpRecord> indexing_ops();
std::vector<OpRecord> joining_ops();
std::vector<OpRecord> linear_ops();
std::vector<OpRecord> logical_ops();
std::vector<OpRecord> loss_ops();
std::vector<OpRecord> movement_ops();
std::vector<OpRecord> norm_ops();
std::vector<OpRecord> pooling_ops();
std::vector<OpRecord> random_ops();
std::vector<OpRecord> reduction_ops();
std::vector<OpRecord> resize_ops();
std::vector<OpRecord> sorting_ops();
std::vector<OpRecord> transcendental_ops();

}  // namespace plait

// Training like the reference of an independent implementation, and comparing with it.
#pragma once

#include "tools/examples/train_gpt_options.h"

namespace plait::examples {

// Prints the largest differences. 0 if every loss is within 5e-5 and every final weight within 1 %
// of its tensor's largest entry, else 1.
int run_reference(const TrainOptions& options);

}  // namespace plait::examples

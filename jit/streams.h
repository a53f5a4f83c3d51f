// Stores that pass the caches.
#pragma once

#include "jit/storage.h"

namespace plait {

// Of launches that move more than the caches hold, the large results that nothing in the launch
// reads become streams: a plain store would read each line before it writes it, and push out what
// is of use. Kernels with different streams are different kernels of the list.
void stream_large_results(const Graph& graph, const Storage& storage, const Target& target,
                          LaunchList& list);

}  // namespace plait

// Jobs on a small stack: what recurses with the size of its input does not survive it.
#pragma once

#include <pthread.h>

#include <catch2/catch.hpp>
#include <exception>
#include <utility>

namespace plait {

// Runs the job in a thread with so large a stack, and throws what it throws.
template <class Job>
void on_small_stack(size_t bytes, Job job) {
  struct Call {
    Job job;
    std::exception_ptr error;
  } call{std::move(job), nullptr};
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, bytes) == 0);
  pthread_t thread;
  const auto body = [](void* argument) -> void* {
    auto& call = *static_cast<Call*>(argument);
    try {
      call.job();
    } catch (...) {
      call.error = std::current_exception();
    }
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, body, &call) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  if (call.error) std::rethrow_exception(call.error);
}

}  // namespace plait

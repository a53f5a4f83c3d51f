// Leaving a test case early, so that it is counted as skipped and its reason is shown.
#pragma once

#include <cstdio>

#define PLAIT_SKIP(reason)                   \
  do {                                       \
    std::printf("[skipped] %s\n", (reason)); \
    std::fflush(stdout);                     \
    return;                                  \
  } while (false)

// Stopping a loop at a safe place: the first Ctrl-C or SIGTERM only sets a flag; a second one kills
// the process as usual.
#pragma once

namespace plait::examples {

void catch_interrupts();
// The signal that came, or 0.
int interrupted();

}  // namespace plait::examples

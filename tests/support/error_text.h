// The text of the error that a call must raise, for tests of error messages.
#pragma once

#include <exception>
#include <string>

namespace plait {

// "no error", or what another type of exception said, if the call does not raise an `Error`.
template <class Error, class Call>
std::string error_text(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another error: ") + error.what();
  }
  return "no error";
}

}  // namespace plait

#pragma once
#include <stdexcept>
#include <string>

namespace ltu {

// Each kind becomes the Python exception of the same name (ltu/errors.py).
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct ModelFileError : Error {
  using Error::Error;
};
struct PromptError : Error {
  using Error::Error;
};
struct Interrupted : Error { // somebody stopped a long computation
  Interrupted() : Error("interrupted") {}
};

} // namespace ltu

#pragma once
#include "file/keys.h"
#include "ggml.h"
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ltu {

struct TensorInfo {
  std::string name;
  ggml_type type;
  std::array<int64_t, 4> shape; // ggml order: shape[0] is the row length; ones behind the last dimension
  int dimensions;               // 1 to 4
  size_t offset;                // of the data, from the file's start
  std::span<const std::byte> data;

  int64_t columns() const { return shape[0]; }
  int64_t rows() const { return shape[1] * shape[2] * shape[3]; }
};

struct GgufHeader {
  Keys keys;
  std::vector<TensorInfo> tensors;
};

// Reads a GGUF header of version 2 or 3, little-endian (ggml's docs/gguf.md), and believes none of it: every
// count, length, type, shape and offset is held against the file's size. What is no GGUF is named as what it
// is. Throws ModelFileError.
GgufHeader read_gguf_header(const std::string &path, std::span<const std::byte> file);

} // namespace ltu

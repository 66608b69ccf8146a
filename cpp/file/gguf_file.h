#pragma once
#include "ggml.h"
#include "gguf.h"
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ltu {

struct TensorInfo {
  std::string name;
  ggml_type type;
  std::array<int64_t, 4> shape; // ggml order: shape[0] is the row length
  std::span<const std::byte> data;

  int64_t columns() const { return shape[0]; }
  int64_t rows() const { return shape[1] * shape[2] * shape[3]; }
};

// A memory-mapped GGUF file. Every accessor names the file and the key or tensor that is missing or wrong.
class GgufFile {
public:
  explicit GgufFile(std::string path);
  ~GgufFile();
  GgufFile(const GgufFile &) = delete;
  GgufFile &operator=(const GgufFile &) = delete;

  const std::string &path() const { return path_; }
  const gguf_context *context() const { return gguf_.get(); }

  int64_t integer(const std::string &key) const;
  double number(const std::string &key) const;
  std::string string(const std::string &key) const;
  std::optional<int64_t> find_integer(const std::string &key) const;
  std::optional<double> find_number(const std::string &key) const;
  std::optional<std::string> find_string(const std::string &key) const;

  void forget_key(const std::string &key); // its memory is given back

  const TensorInfo *find_tensor(const std::string &name) const;
  const std::vector<TensorInfo> &tensors() const { return tensors_; }

  // Tells the system that this data was copied elsewhere and need not stay resident.
  void release(std::span<const std::byte> data) const;
  void release_all() const;
  // Copies a piece of the file without making it resident.
  void read(std::span<const std::byte> data, std::byte *out) const;
  [[noreturn]] void fail(const std::string &what) const;

private:
  struct Mapping;
  std::string path_;
  std::unique_ptr<Mapping> mapping_;
  std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf_{nullptr, gguf_free};
  std::vector<TensorInfo> tensors_;

  int64_t find_key(const std::string &key) const;
};

} // namespace ltu

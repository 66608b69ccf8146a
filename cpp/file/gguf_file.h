#pragma once
#include "file/gguf_header.h"
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ltu {

// A memory-mapped GGUF file whose header is known to be sound.
class GgufFile {
public:
  explicit GgufFile(std::string path);
  ~GgufFile();
  GgufFile(const GgufFile &) = delete;
  GgufFile &operator=(const GgufFile &) = delete;

  const std::string &path() const { return path_; }
  const Keys &keys() const { return header_.keys; }
  const TensorInfo *find_tensor(const std::string &name) const;
  const std::vector<TensorInfo> &tensors() const { return header_.tensors; }

  // Tells the system that this data was copied elsewhere and need not stay resident.
  void release(std::span<const std::byte> data) const;
  void release_all() const;
  // Copies a piece of the file without making it resident.
  void read(std::span<const std::byte> data, std::byte *out) const;
  [[noreturn]] void fail(const std::string &what) const { header_.keys.fail(what); }

private:
  struct Mapping;
  std::string path_;
  std::unique_ptr<Mapping> mapping_;
  GgufHeader header_;
};

} // namespace ltu

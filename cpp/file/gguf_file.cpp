#include "file/gguf_file.h"
#include "support/error.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ltu {

struct GgufFile::Mapping {
  const std::byte *data = nullptr;
  size_t size = 0;
  int descriptor;

  explicit Mapping(const std::string &path) : descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor < 0)
      throw ModelFileError(path + ": " + std::strerror(errno) + "; check the path");
    struct stat status{};
    const bool regular = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    size = static_cast<size_t>(status.st_size);
    void *address = regular && size > 0 ? mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0) : nullptr;
    const std::string problem = !regular    ? "not a regular file"
                                : size == 0 ? "is no GGUF file, it has 0 bytes"
                                : address == MAP_FAILED
                                    ? std::string("cannot be mapped: ") + std::strerror(errno)
                                    : "";
    if (!problem.empty()) {
      close(descriptor);
      throw ModelFileError(path + ": " + problem);
    }
    data = static_cast<const std::byte *>(address);
  }
  ~Mapping() {
    munmap(const_cast<std::byte *>(data), size);
    close(descriptor);
  }
  Mapping(const Mapping &) = delete;
  Mapping &operator=(const Mapping &) = delete;
};

GgufFile::GgufFile(std::string path)
    : path_(std::move(path)), mapping_(std::make_unique<Mapping>(path_)),
      header_(read_gguf_header(path_, {mapping_->data, mapping_->size})) {
  release_all();
}

GgufFile::~GgufFile() = default;

void GgufFile::release(std::span<const std::byte> data) const {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(data.data()) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(data.data() + data.size());
  madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

void GgufFile::release_all() const {
  release({mapping_->data, mapping_->size});
}

void GgufFile::read(std::span<const std::byte> data, std::byte *out) const {
  const auto offset = static_cast<off_t>(data.data() - mapping_->data);
  if (pread(mapping_->descriptor, out, data.size(), offset) != static_cast<ssize_t>(data.size()))
    fail(std::string("cannot be read: ") + (errno ? std::strerror(errno) : "it has become shorter"));
}

const TensorInfo *GgufFile::find_tensor(const std::string &name) const {
  for (const TensorInfo &tensor : header_.tensors)
    if (tensor.name == name)
      return &tensor;
  return nullptr;
}

} // namespace ltu

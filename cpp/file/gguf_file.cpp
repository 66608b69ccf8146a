#include "file/gguf_file.h"
#include "support/error.h"
#include "support/memory.h"
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
      throw ModelFileError(path + ": " + std::strerror(errno));
    struct stat status{};
    const bool regular = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    size = static_cast<size_t>(status.st_size);
    void *address = regular && size > 0 ? mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0) : nullptr;
    const std::string problem = !regular    ? "not a regular file"
                                : size == 0 ? "the file is empty"
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

GgufFile::GgufFile(std::string path) : path_(std::move(path)), mapping_(std::make_unique<Mapping>(path_)) {
  if (mapping_->size < 4 || std::memcmp(mapping_->data, "GGUF", 4) != 0)
    fail("not a GGUF file");
  ggml_context *shapes = nullptr;
  gguf_.reset(gguf_init_from_buffer(mapping_->data, mapping_->size, {.no_alloc = true, .ctx = &shapes}));
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> owner(shapes, ggml_free);
  if (!gguf_)
    fail("the GGUF header is broken or cut short: copy or convert the file again");
  const size_t start = gguf_get_data_offset(gguf_.get());
  for (int64_t i = 0; i < gguf_get_n_tensors(gguf_.get()); ++i) {
    const char *name = gguf_get_tensor_name(gguf_.get(), i);
    const ggml_tensor *tensor = ggml_get_tensor(shapes, name);
    const size_t offset = start + gguf_get_tensor_offset(gguf_.get(), i);
    const size_t bytes = gguf_get_tensor_size(gguf_.get(), i);
    if (offset > mapping_->size || bytes > mapping_->size - offset)
      fail("tensor " + std::string(name) +
           " ends beyond the end of the file: it was cut short, copy it again");
    tensors_.push_back({name,
                        tensor->type,
                        {tensor->ne[0], tensor->ne[1], tensor->ne[2], tensor->ne[3]},
                        {mapping_->data + offset, bytes}});
  }
  // The vocabulary is for llama.cpp and the converter; here it would only take memory.
  for (int64_t id = gguf_get_n_kv(gguf_.get()) - 1; id >= 0; --id) {
    const std::string key = gguf_get_key(gguf_.get(), id);
    if (key.starts_with("tokenizer.ggml.") && gguf_get_kv_type(gguf_.get(), id) == GGUF_TYPE_ARRAY)
      gguf_remove_key(gguf_.get(), key.c_str());
  }
  release_all();
}

GgufFile::~GgufFile() = default;

void GgufFile::forget_key(const std::string &key) {
  gguf_remove_key(gguf_.get(), key.c_str());
  trim_heap();
}

void GgufFile::fail(const std::string &what) const {
  throw ModelFileError(path_ + ": " + what);
}

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

int64_t GgufFile::find_key(const std::string &key) const {
  return gguf_find_key(gguf_.get(), key.c_str());
}

std::optional<int64_t> GgufFile::find_integer(const std::string &key) const {
  const int64_t id = find_key(key);
  if (id < 0)
    return std::nullopt;
  const gguf_context *g = gguf_.get();
  switch (gguf_get_kv_type(g, id)) {
  case GGUF_TYPE_UINT8:
    return gguf_get_val_u8(g, id);
  case GGUF_TYPE_INT8:
    return gguf_get_val_i8(g, id);
  case GGUF_TYPE_UINT16:
    return gguf_get_val_u16(g, id);
  case GGUF_TYPE_INT16:
    return gguf_get_val_i16(g, id);
  case GGUF_TYPE_UINT32:
    return gguf_get_val_u32(g, id);
  case GGUF_TYPE_INT32:
    return gguf_get_val_i32(g, id);
  case GGUF_TYPE_UINT64:
    return static_cast<int64_t>(gguf_get_val_u64(g, id));
  case GGUF_TYPE_INT64:
    return gguf_get_val_i64(g, id);
  default:
    fail("key " + key + " is not an integer");
  }
}

std::optional<double> GgufFile::find_number(const std::string &key) const {
  const int64_t id = find_key(key);
  if (id < 0)
    return std::nullopt;
  switch (gguf_get_kv_type(gguf_.get(), id)) {
  case GGUF_TYPE_FLOAT32:
    return gguf_get_val_f32(gguf_.get(), id);
  case GGUF_TYPE_FLOAT64:
    return gguf_get_val_f64(gguf_.get(), id);
  default:
    fail("key " + key + " is not a number");
  }
}

std::optional<std::string> GgufFile::find_string(const std::string &key) const {
  const int64_t id = find_key(key);
  if (id < 0)
    return std::nullopt;
  if (gguf_get_kv_type(gguf_.get(), id) != GGUF_TYPE_STRING)
    fail("key " + key + " is not a string");
  return gguf_get_val_str(gguf_.get(), id);
}

namespace {
template <class T> T required(const GgufFile &file, const std::string &key, std::optional<T> value) {
  if (!value)
    file.fail("key " + key + " is missing");
  return *std::move(value);
}
} // namespace

int64_t GgufFile::integer(const std::string &key) const {
  return required(*this, key, find_integer(key));
}
double GgufFile::number(const std::string &key) const {
  return required(*this, key, find_number(key));
}
std::string GgufFile::string(const std::string &key) const {
  return required(*this, key, find_string(key));
}

const TensorInfo *GgufFile::find_tensor(const std::string &name) const {
  for (const TensorInfo &tensor : tensors_)
    if (tensor.name == name)
      return &tensor;
  return nullptr;
}

} // namespace ltu

#include "file/gguf_header.h"
#include "file/quantize.h"
#include "gguf.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

namespace ltu {

namespace {

using Bytes = std::span<const std::byte>;

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

bool starts_with(std::string_view text, std::string_view lower) { // whatever the case
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
}

// What people have under a name that ends in .gguf.
std::string other_content(Bytes file) {
  const std::string_view text = text_of(file);
  uint64_t length = 0;
  if (file.size() > 8)
    std::memcpy(&length, file.data(), 8);
  if (starts_with(text, "version https://git-lfs"))
    return " but a Git LFS pointer to one; fetch it with git lfs pull";
  if (starts_with(text, "<!doctype") || starts_with(text, "<html") || starts_with(text, "<?xml"))
    return " but a web page; download the file itself";
  if (starts_with(text, "pk\x03\x04"))
    return " but a zip archive, perhaps a PyTorch checkpoint; ltu-convert makes a model of one";
  if (file.size() > 9 && length <= file.size() - 8 && text[8] == '{')
    return " but a safetensors file; ltu-convert makes a model of one";
  for (const std::string_view old : {"lmgg", "fmgg", "tjgg", "algg"})
    if (starts_with(text, old))
      return " but in a format from before GGUF; get a newer file";
  return file.size() < 4 ? ", it has " + std::to_string(file.size()) + " bytes" : "";
}

size_t scalar_bytes(uint32_t type) { // 0: not a scalar
  switch (type) {
  case GGUF_TYPE_UINT8:
  case GGUF_TYPE_INT8:
  case GGUF_TYPE_BOOL:
    return 1;
  case GGUF_TYPE_UINT16:
  case GGUF_TYPE_INT16:
    return 2;
  case GGUF_TYPE_UINT32:
  case GGUF_TYPE_INT32:
  case GGUF_TYPE_FLOAT32:
    return 4;
  case GGUF_TYPE_UINT64:
  case GGUF_TYPE_INT64:
  case GGUF_TYPE_FLOAT64:
    return 8;
  default:
    return 0;
  }
}

// A cursor over the header.
class Reader {
public:
  Reader(const std::string &path, Bytes file) : file_(file), header_{Keys(path), {}} {}

  GgufHeader read() && {
    if (text_of(file_.first(std::min<size_t>(4, file_.size()))) != "GGUF")
      fail("is no GGUF file" + other_content(file_));
    at_ = 4;
    const auto version = number<uint32_t>();
    if ((version & 0xffff) == 0)
      fail("is a big-endian GGUF file; convert it on a little-endian machine");
    if (version != 2 && version != 3)
      fail("GGUF version " + std::to_string(version) + " is not supported, 2 and 3 are");
    const auto tensor_count = number<uint64_t>(), key_count = number<uint64_t>();
    for (uint64_t i = 0; i < key_count; ++i)
      read_key();
    if (const int64_t parts = header_.keys.find_integer("split.count").value_or(0); parts > 1)
      fail("is one of " + std::to_string(parts) +
           " parts of a split model; join them with llama-gguf-split --merge");
    const uint64_t alignment = read_alignment();
    for (uint64_t i = 0; i < tensor_count; ++i)
      read_tensor(alignment);
    place_tensors((at_ + alignment - 1) / alignment * alignment);
    return std::move(header_);
  }

private:
  Bytes file_;
  size_t at_ = 0;
  GgufHeader header_;
  std::unordered_set<std::string> tensor_names_;

  [[noreturn]] void fail(const std::string &what) const { header_.keys.fail(what); }

  Bytes bytes(uint64_t count) {
    if (count > file_.size() - at_)
      fail("the file ends inside its header; get it again");
    at_ += count;
    return file_.subspan(at_ - count, count);
  }

  template <class T> T number() {
    T value;
    std::memcpy(&value, bytes(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view text() { return text_of(bytes(number<uint64_t>())); }

  std::string name(const std::string &of, size_t longest) { // no message can be garbled by it
    const std::string_view name = text();
    if (name.empty() || name.size() > longest ||
        !std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; }))
      fail("the header holds a " + of + " named " + quoted(name) + "; the file is broken, get it again");
    return std::string(name);
  }

  void read_key() {
    std::string name = this->name("key", 65535);
    const KeyValue read = value(name, number<uint32_t>());
    header_.keys.add(std::move(name), read);
  }

  KeyValue value(const std::string &name, uint32_t type) {
    switch (type) {
    case GGUF_TYPE_UINT8:
      return int64_t{number<uint8_t>()};
    case GGUF_TYPE_INT8:
      return int64_t{number<int8_t>()};
    case GGUF_TYPE_UINT16:
      return int64_t{number<uint16_t>()};
    case GGUF_TYPE_INT16:
      return int64_t{number<int16_t>()};
    case GGUF_TYPE_UINT32:
      return int64_t{number<uint32_t>()};
    case GGUF_TYPE_INT32:
      return int64_t{number<int32_t>()};
    case GGUF_TYPE_UINT64:
      if (const auto large = number<uint64_t>(); large <= INT64_MAX)
        return static_cast<int64_t>(large);
      else
        fail("key " + name + " is " + std::to_string(large) + ", which is too large");
    case GGUF_TYPE_INT64:
      return number<int64_t>();
    case GGUF_TYPE_FLOAT32:
      return double{number<float>()};
    case GGUF_TYPE_FLOAT64:
      return number<double>();
    case GGUF_TYPE_BOOL:
      return number<uint8_t>() != 0;
    case GGUF_TYPE_STRING:
      return text();
    case GGUF_TYPE_ARRAY:
      return array(name);
    default:
      fail("key " + name + " is of the unknown type " + std::to_string(type));
    }
  }

  KeyArray array(const std::string &name) {
    const auto type = number<uint32_t>();
    const auto count = number<uint64_t>();
    const size_t start = at_;
    if (const size_t size = scalar_bytes(type)) {
      if (count > file_.size() / size)
        fail("the file ends inside key " + name + "; get it again");
      bytes(count * size);
    } else if (type == GGUF_TYPE_STRING) {
      for (uint64_t i = 0; i < count; ++i)
        text();
    } else {
      fail("key " + name + " is an array of the unknown type " + std::to_string(type));
    }
    return {type, count, file_.subspan(start, at_ - start)};
  }

  uint64_t read_alignment() const {
    const int64_t alignment = header_.keys.find_integer("general.alignment").value_or(GGUF_DEFAULT_ALIGNMENT);
    if (alignment < 1 || alignment > UINT32_MAX || !std::has_single_bit(static_cast<uint64_t>(alignment)))
      fail("key general.alignment is " + std::to_string(alignment) + ", expected a power of two");
    return static_cast<uint64_t>(alignment);
  }

  // The offset stays relative to where the data begin, which is known only behind the last tensor's entry.
  void read_tensor(uint64_t alignment) {
    TensorInfo tensor{};
    tensor.name = name("tensor", GGML_MAX_NAME - 1);
    if (!tensor_names_.insert(tensor.name).second)
      fail("tensor " + tensor.name + " is there twice");
    const auto dimensions = number<uint32_t>();
    if (dimensions < 1 || dimensions > GGML_MAX_DIMS)
      fail("tensor " + tensor.name + " has " + std::to_string(dimensions) + " dimensions, expected 1 to 4");
    tensor.dimensions = static_cast<int>(dimensions);
    tensor.shape.fill(1);
    uint64_t count = 1;
    for (uint32_t i = 0; i < dimensions; ++i) {
      const auto size = number<uint64_t>();
      if (size < 1 || size > static_cast<uint64_t>(INT64_MAX) / count)
        fail("tensor " + tensor.name + " has an impossible shape");
      count *= size;
      tensor.shape[i] = static_cast<int64_t>(size);
    }
    const auto type = number<uint32_t>();
    if (!is_stored(static_cast<ggml_type>(type)))
      fail("tensor " + tensor.name + " is of the unknown type " + std::to_string(type));
    tensor.type = static_cast<ggml_type>(type);
    const int64_t block = ggml_blck_size(tensor.type);
    if (tensor.columns() % block != 0)
      fail("tensor " + tensor.name + " has rows of " + std::to_string(tensor.columns()) +
           " values, which don't fill the blocks of " + ggml_type_name(tensor.type));
    const auto offset = number<uint64_t>();
    const uint64_t blocks = count / static_cast<uint64_t>(block), size = ggml_type_size(tensor.type);
    if (offset > file_.size() || blocks > file_.size() / size)
      fail("the file ends inside tensor " + tensor.name + "; get it again");
    if (offset % alignment != 0)
      fail("tensor " + tensor.name + " lies at " + std::to_string(offset) + ", no multiple of " +
           std::to_string(alignment));
    tensor.offset = offset;
    tensor.data = file_.first(blocks * size); // its length is right
    header_.tensors.push_back(std::move(tensor));
  }

  void place_tensors(size_t start) {
    for (TensorInfo &tensor : header_.tensors) {
      if (start > file_.size() || tensor.offset > file_.size() - start ||
          tensor.data.size() > file_.size() - start - tensor.offset)
        fail("the file ends inside tensor " + tensor.name + "; get it again");
      tensor.offset += start;
      tensor.data = file_.subspan(tensor.offset, tensor.data.size());
    }
  }
};

} // namespace

GgufHeader read_gguf_header(const std::string &path, std::span<const std::byte> file) {
  return Reader(path, file).read();
}

} // namespace ltu

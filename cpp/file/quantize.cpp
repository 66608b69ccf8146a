#include "file/quantize.h"
#include "device/thread_pool.h"
#include "support/error.h"
#include <algorithm>
#include <cstring>

namespace ltu {

bool is_stored(ggml_type type) {
  return type >= 0 && type < GGML_TYPE_COUNT && ggml_blck_size(type) > 0 &&
         (!ggml_is_quantized(type) || ggml_get_type_traits(type)->to_float);
}

std::string type_name(ggml_type type) {
  const char *known = ggml_type_name(type);
  std::string name = known ? known : "";
  for (char &c : name)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

ggml_type type_named(const std::string &name) {
  for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
    const auto type = static_cast<ggml_type>(i);
    const bool usable = ggml_get_type_traits(type)->to_float || type == GGML_TYPE_F32;
    if (type_name(type) == name && usable)
      return type;
  }
  throw Error("unknown tensor type " + name);
}

size_t quantized_row_bytes(ggml_type type, int64_t columns) {
  // ggml's own quantiser drops what does not fill a block, silently
  if (columns % ggml_blck_size(type) != 0)
    throw Error("rows of " + std::to_string(columns) + " can't be " + ggml_type_name(type) +
                ": its blocks hold " + std::to_string(ggml_blck_size(type)));
  return ggml_row_size(type, columns);
}

std::vector<uint8_t> quantize(const float *values, int64_t rows, int64_t columns, ggml_type type,
                              int threads) {
  const size_t row_bytes = quantized_row_bytes(type, columns);
  std::vector<uint8_t> out(row_bytes * static_cast<size_t>(rows));
  if (ggml_quantize_requires_imatrix(type))
    throw Error(std::string(ggml_type_name(type)) + " needs an importance matrix, which is not supported");
  ggml_quantize_init(type);
  constexpr int64_t piece = 64; // rows
  const auto pieces = static_cast<uint32_t>((rows + piece - 1) / piece);
  ThreadPool(std::min(threads, static_cast<int>(pieces))).run(pieces, [&](uint32_t i) {
    const int64_t first = static_cast<int64_t>(i) * piece;
    const int64_t count = std::min(piece, rows - first);
    ggml_quantize_chunk(type, values + first * columns, out.data() + row_bytes * static_cast<size_t>(first),
                        0, count, columns, nullptr);
  });
  return out;
}

std::vector<float> dequantize(const uint8_t *data, int64_t rows, int64_t columns, ggml_type type) {
  quantized_row_bytes(type, columns); // checks the block
  std::vector<float> out(static_cast<size_t>(rows * columns));
  if (type == GGML_TYPE_F32)
    std::memcpy(out.data(), data, out.size() * sizeof(float));
  else
    ggml_get_type_traits(type)->to_float(data, out.data(), static_cast<int64_t>(out.size()));
  return out;
}

} // namespace ltu

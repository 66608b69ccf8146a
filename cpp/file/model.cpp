#include "file/model.h"
#include "device/device.h"
#include "file/quantize.h"
#include "ggml-backend.h"
#include "support/error.h"
#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

namespace ltu {

namespace {

std::string shape_text(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::vector<int64_t> trimmed(const std::array<int64_t, 4> &shape, size_t least) {
  size_t size = 4;
  while (size > least && shape[size - 1] == 1)
    --size;
  return {shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(size)};
}

std::optional<kernels::WeightType> weight_type(ggml_type type) {
  for (const kernels::WeightTypeInfo &info : kernels::weight_types())
    if (type_name(type) == info.name)
      return info.type;
  return std::nullopt;
}

} // namespace

struct Model::Buffers { // of the back end: the contexts that own tensors, and their memory
  std::vector<std::unique_ptr<ggml_context, decltype(&ggml_free)>> contexts;
  std::vector<std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)>> buffers;
};

Model::Model(const std::string &path, Device &device)
    : file_(path), device_(device), buffers_(std::make_unique<Buffers>()) {
  const std::string architecture = file_.keys().string("general.architecture");
  if (architecture != "ltu")
    file_.fail("general.architecture is " + quoted(architecture) +
               ", expected \"ltu\": make an LTU model of it with ltu-convert");
  audio_ = audio_config(file_.keys());
  llama_ = llama_config(file_.keys());
  check_sampling(file_.keys());
  if (audio_.projection != llama_.width)
    file_.fail("key clip.audio.projection_dim is " + std::to_string(audio_.projection) +
               ", llama.embedding_length " + std::to_string(llama_.width) +
               ": the parts of this file come from different models");
  const std::vector<TensorSpec> audio_rows = audio_table(audio_, *this),
                                llama_rows = llama_table(llama_, *this);
  std::vector<TensorSpec> table = audio_rows;
  std::ranges::copy(llama_rows, std::back_inserter(table));
  check(table);
  on_card_ = half_cache_ && fits_card(llama_rows, llama_.head_size);
  audio_on_card_ = fits_card(audio_rows, audio_.head_size());
  for (const TensorSpec &row : table)
    if (const TensorInfo *tensor = file_.find_tensor(row.name))
      std::visit([&](auto place) { load(*tensor, place); }, row.place);
  if (!file_.find_tensor("output.weight")) // tied
    load(*token_embeddings, &output);
  file_.release_all(); // reading one tensor makes its neighbours' pages resident, too
}

Model::~Model() = default;

void Model::check(const std::vector<TensorSpec> &table) {
  std::set<std::string> known;
  bool all_float32 = true, all_quantised = true;
  for (const TensorSpec &spec : table) {
    known.insert(spec.name);
    const TensorInfo *tensor = file_.find_tensor(spec.name);
    if (!tensor) {
      if (spec.required)
        file_.fail("tensor " + spec.name + " is missing");
      continue;
    }
    const std::vector<int64_t> shape = trimmed(tensor->shape, spec.shape.size());
    if (shape != spec.shape)
      file_.fail("tensor " + spec.name + " has shape " + shape_text(shape) + ", the header says " +
                 shape_text(spec.shape) + ": the parts of this file come from different models");
    if (!spec.matrix() && tensor->type != GGML_TYPE_F32)
      file_.fail("tensor " + spec.name + " is " + ggml_type_name(tensor->type) + ", expected f32");
    if (spec.matrix() && !weight_type(tensor->type))
      file_.fail("tensor " + spec.name + " is of type " + ggml_type_name(tensor->type) +
                 ", which this engine doesn't compute with: convert it with ltu-convert");
    if (spec.matrix() && spec.name.starts_with("blk.")) {
      all_float32 = all_float32 && tensor->type == GGML_TYPE_F32;
      all_quantised = all_quantised && ggml_is_quantized(tensor->type);
    }
  }
  for (const TensorInfo &tensor : file_.tensors())
    if (!known.contains(tensor.name))
      file_.fail("tensor " + tensor.name + " is not part of an LTU model");
  half_cache_ = !all_float32;
  const bool tied = !file_.find_tensor("output.weight");
  quantised_ = all_quantised &&
               ggml_is_quantized(file_.find_tensor(tied ? "token_embd.weight" : "output.weight")->type);
}

// In float16, beside what the file has and a cache of the same size as the weights. A part whose matrices are
// all float32 stays so, in the back end's graph.
bool Model::fits_card(const std::vector<TensorSpec> &part, int64_t head_size) const {
  const bool known_heads = head_size == 64 || head_size == 128; // to cuda/path_attention.cu
  if (device_.card() < 0 || !known_heads)
    return false;
  size_t bytes = 0;
  bool all_float32 = true, known_widths = true;
  for (const TensorSpec &spec : part)
    if (const TensorInfo *tensor = file_.find_tensor(spec.name); tensor && spec.matrix()) {
      bytes += static_cast<size_t>(tensor->columns() * tensor->rows()) * sizeof(ggml_fp16_t);
      all_float32 = all_float32 && tensor->type == GGML_TYPE_F32;
      known_widths = known_widths && tensor->columns() % 4 == 0; // to cuda/row_code.h
    }
  return !all_float32 && known_widths && 2 * bytes < device_.free_memory();
}

void Model::note_conversion(const TensorInfo &tensor, ggml_type type) {
  if (type != tensor.type)
    ++converted_[type_name(tensor.type) + " as " + type_name(type)];
}

// bfloat16 becomes float16, or float32 where it doesn't fit: back ends round the results of bfloat16 products
// to it.
ggml_tensor *Model::place(const TensorInfo &info) {
  if (info.type != GGML_TYPE_BF16)
    return place(info, info.type, info.data);
  const std::vector<float> floats =
      dequantize(reinterpret_cast<const uint8_t *>(info.data.data()), info.rows(), info.columns(), info.type);
  const float largest = 65504; // of float16
  if (std::any_of(floats.begin(), floats.end(), [&](float x) { return std::abs(x) > largest; }))
    return place(info, GGML_TYPE_F32, std::as_bytes(std::span(floats)));
  std::vector<ggml_fp16_t> halves(floats.size());
  ggml_fp32_to_fp16_row(floats.data(), halves.data(), std::ssize(floats));
  return place(info, GGML_TYPE_F16, std::as_bytes(std::span(halves)));
}

ggml_tensor *Model::place(const TensorInfo &info, ggml_type type, std::span<const std::byte> data) {
  note_conversion(info, type);
  const ggml_init_params params{.mem_size = ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true};
  ggml_context *context = buffers_->contexts.emplace_back(ggml_init(params), ggml_free).get();
  ggml_tensor *tensor = ggml_new_tensor(context, type, GGML_MAX_DIMS, info.shape.data());
  ggml_set_name(tensor, info.name.c_str());
  ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(context, device_.buffer_type());
  if (!buffer)
    throw Error("not enough memory on " + device_.name() + " for " + file_.path());
  buffers_->buffers.emplace_back(buffer, ggml_backend_buffer_free);
  ggml_backend_tensor_set(tensor, data.data(), 0, data.size());
  bytes_ += data.size();
  file_.release(info.data);
  return tensor;
}

void Model::load(const TensorInfo &tensor, const TensorInfo **place) {
  *place = &tensor;
}

void Model::load(const TensorInfo &tensor, ggml_tensor **place) {
  *place = this->place(tensor);
}

void Model::load(const TensorInfo &info, Matrix *place) {
  Matrix &result = *place;
  result.source = &info;
  result.rows = info.rows();
  result.columns = info.columns();
  const bool audio = info.name.starts_with("a.") || info.name.starts_with("mm.");
  if (audio ? audio_on_card_ : on_card_) {
    note_conversion(info, GGML_TYPE_F16); // cuda/weights.h makes its copies
    if (audio || !quantised_)
      return;
  }
  if (device_.own_kernels()) {
    result.packed = kernels::PackedMatrix(*weight_type(info.type), result.rows, result.columns);
    const size_t row = ggml_row_size(info.type, result.columns);
    constexpr int64_t panel = 16;
    const int64_t piece =
        std::max<int64_t>(panel, (int64_t{4} << 20) / static_cast<int64_t>(row) / panel * panel);
    for (int64_t first = 0; first < result.rows;
         first += piece) { // a piece at a time, so that no tensor is held twice
      const int64_t count = std::min(piece, result.rows - first);
      const auto rows = info.data.subspan(row * static_cast<size_t>(first), row * static_cast<size_t>(count));
      result.packed.pack_rows(rows.data(), first, count);
      file_.release(rows);
    }
    bytes_ += result.packed.bytes();
  } else {
    result.tensor = this->place(info);
  }
}

void Model::token_embedding(int32_t token, float *out) const {
  const size_t bytes = ggml_row_size(token_embeddings->type, llama_.width);
  const auto row = token_embeddings->data.subspan(bytes * static_cast<size_t>(token), bytes);
  if (token_embeddings->type == GGML_TYPE_F32)
    return file_.read(row, reinterpret_cast<std::byte *>(out));
  std::vector<std::byte> packed(bytes);
  file_.read(row, packed.data());
  ggml_get_type_traits(token_embeddings->type)->to_float(packed.data(), out, llama_.width);
}

} // namespace ltu

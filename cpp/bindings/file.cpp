#include "bindings/bindings.h"
#include "device/device.h"
#include "file/gguf_file.h"
#include "file/model.h"
#include "file/quantize.h"
#include "support/error.h"
#include <cstring>
#include <optional>

namespace ltu {

namespace {

py::object value_of(const gguf_context *g, int64_t id) {
  switch (gguf_get_kv_type(g, id)) {
  case GGUF_TYPE_UINT8:
    return py::int_(gguf_get_val_u8(g, id));
  case GGUF_TYPE_INT8:
    return py::int_(gguf_get_val_i8(g, id));
  case GGUF_TYPE_UINT16:
    return py::int_(gguf_get_val_u16(g, id));
  case GGUF_TYPE_INT16:
    return py::int_(gguf_get_val_i16(g, id));
  case GGUF_TYPE_UINT32:
    return py::int_(gguf_get_val_u32(g, id));
  case GGUF_TYPE_INT32:
    return py::int_(gguf_get_val_i32(g, id));
  case GGUF_TYPE_UINT64:
    return py::int_(gguf_get_val_u64(g, id));
  case GGUF_TYPE_INT64:
    return py::int_(gguf_get_val_i64(g, id));
  case GGUF_TYPE_FLOAT32:
    return py::float_(gguf_get_val_f32(g, id));
  case GGUF_TYPE_FLOAT64:
    return py::float_(gguf_get_val_f64(g, id));
  case GGUF_TYPE_BOOL:
    return py::bool_(gguf_get_val_bool(g, id));
  case GGUF_TYPE_STRING:
    return py::str(gguf_get_val_str(g, id));
  default:
    break;
  }
  py::list items;
  const size_t count = gguf_get_arr_n(g, id);
  const gguf_type type = gguf_get_arr_type(g, id);
  for (size_t i = 0; i < count; ++i) {
    if (type == GGUF_TYPE_STRING)
      items.append(py::str(gguf_get_arr_str(g, id, i)));
    else if (type == GGUF_TYPE_FLOAT32)
      items.append(static_cast<const float *>(gguf_get_arr_data(g, id))[i]);
    else if (type == GGUF_TYPE_INT32)
      items.append(static_cast<const int32_t *>(gguf_get_arr_data(g, id))[i]);
    else if (type == GGUF_TYPE_UINT32)
      items.append(static_cast<const uint32_t *>(gguf_get_arr_data(g, id))[i]);
  }
  return items;
}

} // namespace

py::dict metadata(const GgufFile &file) {
  py::dict out;
  const gguf_context *g = file.context();
  for (int64_t id = 0; id < gguf_get_n_kv(g); ++id) {
    out[py::str(gguf_get_key(g, id))] = value_of(g, id);
  }
  return out;
}

namespace {

Keys keys_of(const py::dict &keys) {
  const auto fail = [](const std::string &what) { throw ModelFileError(what); };
  const auto find = [keys](const std::string &key) -> std::optional<py::object> {
    return keys.contains(key) ? std::optional<py::object>(keys[py::str(key)]) : std::nullopt;
  };
  const auto required = [=](const std::string &key) {
    const auto value = find(key);
    if (!value)
      fail("key " + key + " is missing");
    return *value;
  };
  return {.integer = [=](const std::string &key) { return required(key).template cast<int64_t>(); },
          .number = [=](const std::string &key) { return required(key).template cast<double>(); },
          .find_integer = [=](const std::string &key) -> std::optional<int64_t> {
            const auto value = find(key);
            return value ? std::optional<int64_t>(value->cast<int64_t>()) : std::nullopt;
          },
          .find_number = [=](const std::string &key) -> std::optional<double> {
            const auto value = find(key);
            return value ? std::optional<double>(value->cast<double>()) : std::nullopt;
          },
          .find_string = [=](const std::string &key) -> std::optional<std::string> {
            const auto value = find(key);
            return value ? std::optional<std::string>(value->cast<std::string>()) : std::nullopt;
          },
          .fail = fail};
}

} // namespace

void bind_file(py::module_ &m) {
  m.def(
      "quantize",
      [](const Floats &values, const std::string &type) {
        if (values.ndim() != 2)
          throw Error("quantize wants (rows, columns)");
        const std::vector<uint8_t> data =
            quantize(values.data(), values.shape(0), values.shape(1), type_named(type), physical_cores());
        py::array_t<uint8_t> out({values.shape(0), static_cast<py::ssize_t>(data.size()) / values.shape(0)});
        std::memcpy(out.mutable_data(), data.data(), data.size());
        return out;
      },
      "values"_a, "type"_a);
  m.def(
      "dequantize",
      [](const Bytes &data, const std::string &type, int64_t columns) {
        const ggml_type kind = type_named(type);
        const auto row = static_cast<py::ssize_t>(quantized_row_bytes(kind, columns));
        if (data.size() % row != 0)
          throw Error("the data is no multiple of a row");
        return array(dequantize(data.data(), data.size() / row, columns, kind), {data.size() / row, columns});
      },
      "data"_a, "type"_a, "columns"_a);
  m.def(
      "tensor_table",
      [](const py::dict &keys) {
        py::list table;
        const Keys source = keys_of(keys);
        for (const TensorSpec &spec : tensor_table(audio_config(source), llama_config(source)))
          table.append(py::make_tuple(spec.name, spec.shape, spec.required));
        return table;
      },
      "keys"_a);
}

} // namespace ltu

// Model files as Python sees them: keys, tensors, types, quantisation.
#include "bindings/bindings.h"
#include "device/cores.h"
#include "device/device.h"
#include "file/gguf_file.h"
#include "file/model.h"
#include "file/quantize.h"
#include "gguf.h"
#include "support/error.h"
#include <algorithm>
#include <cstring>

namespace ltu {
namespace {

py::object text_of(const Keys &keys, const std::string &key, std::string_view text) {
  PyObject *decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "strict");
  if (!decoded) {
    PyErr_Clear();
    keys.fail("key " + key + " holds text that is not UTF-8");
  }
  return py::reinterpret_steal<py::object>(decoded);
}

template <class T> py::list numbers_of(std::span<const std::byte> data) {
  py::list out;
  T value;
  for (size_t at = 0; at < data.size(); at += sizeof value) {
    std::memcpy(&value, data.data() + at, sizeof value);
    out.append(value);
  }
  return out;
}

py::list flags_of(std::span<const std::byte> data) {
  py::list out;
  for (const std::byte value : data)
    out.append(value != std::byte{});
  return out;
}

py::list list_of(const Keys &keys, const std::string &key, const KeyArray &array) {
  switch (array.type) {
  case GGUF_TYPE_UINT8:
    return numbers_of<uint8_t>(array.data);
  case GGUF_TYPE_INT8:
    return numbers_of<int8_t>(array.data);
  case GGUF_TYPE_BOOL:
    return flags_of(array.data);
  case GGUF_TYPE_UINT16:
    return numbers_of<uint16_t>(array.data);
  case GGUF_TYPE_INT16:
    return numbers_of<int16_t>(array.data);
  case GGUF_TYPE_UINT32:
    return numbers_of<uint32_t>(array.data);
  case GGUF_TYPE_INT32:
    return numbers_of<int32_t>(array.data);
  case GGUF_TYPE_FLOAT32:
    return numbers_of<float>(array.data);
  case GGUF_TYPE_UINT64:
    return numbers_of<uint64_t>(array.data);
  case GGUF_TYPE_INT64:
    return numbers_of<int64_t>(array.data);
  case GGUF_TYPE_FLOAT64:
    return numbers_of<double>(array.data);
  default:
    break;
  }
  py::list out; // of texts, each behind its length
  for (size_t at = 0; at < array.data.size();) {
    uint64_t size;
    std::memcpy(&size, array.data.data() + at, sizeof size);
    at += sizeof size;
    out.append(text_of(keys, key, {reinterpret_cast<const char *>(array.data.data()) + at, size}));
    at += size;
  }
  return out;
}

py::object value_of(const Keys &keys, const std::string &key, const KeyValue &value) {
  if (const auto *text = std::get_if<std::string_view>(&value))
    return text_of(keys, key, *text);
  if (const auto *array = std::get_if<KeyArray>(&value))
    return list_of(keys, key, *array);
  if (const auto *flag = std::get_if<bool>(&value))
    return py::bool_(*flag);
  if (const auto *integer = std::get_if<int64_t>(&value))
    return py::int_(*integer);
  return py::float_(std::get<double>(value));
}

// Lists are left out: nothing that sizes a model is one. The texts stay Python's.
Keys keys_of(const py::dict &dict) {
  Keys keys("");
  for (const auto &[name, value] : dict) {
    const auto key = name.cast<std::string>();
    if (py::isinstance<py::bool_>(value))
      keys.add(key, value.cast<bool>());
    else if (py::isinstance<py::str>(value))
      keys.add(key, value.cast<std::string_view>());
    else if (py::isinstance<py::float_>(value))
      keys.add(key, value.cast<double>());
    else if (py::isinstance<py::int_>(value))
      keys.add(key, value.cast<int64_t>());
  }
  return keys;
}

} // namespace

py::dict metadata(const GgufFile &file) {
  py::dict out;
  for (const auto &[key, value] : file.keys().all())
    if (!(key.starts_with("tokenizer.ggml.") && std::holds_alternative<KeyArray>(value)))
      out[py::str(key)] = value_of(file.keys(), key, value);
  file.release_all(); // the tokenizer's text is Python's now
  return out;
}

void bind_file(py::module_ &m) {
  m.def("tensor_types", [] {
    py::dict types;
    for (int i = 0; i < GGML_TYPE_COUNT; ++i)
      if (const auto type = static_cast<ggml_type>(i); is_stored(type))
        types[py::str(type_name(type))] = py::make_tuple(i, ggml_blck_size(type), ggml_type_size(type));
    return types;
  });
  m.def(
      "read_gguf",
      [](const std::string &path) {
        const GgufFile file(path);
        py::dict keys;
        for (const auto &[key, value] : file.keys().all())
          keys[py::str(key)] = value_of(file.keys(), key, value);
        py::list tensors;
        for (const TensorInfo &tensor : file.tensors())
          tensors.append(py::make_tuple(
              tensor.name,
              std::vector<int64_t>(tensor.shape.begin(), tensor.shape.begin() + tensor.dimensions),
              type_name(tensor.type), tensor.offset));
        return py::make_tuple(keys, tensors);
      },
      "path"_a);
  m.def(
      "tensor_table",
      [](const py::dict &dict) {
        const Keys keys = keys_of(dict);
        Weights weights; // which stay empty
        py::list table;
        const auto add = [&](const std::vector<TensorSpec> &rows) {
          for (const TensorSpec &row : rows)
            table.append(py::make_tuple(row.name, row.source, row.shape, row.matrix(), row.required));
        };
        const auto sizes = [&](std::string_view prefix) { // whether there are any of this part
          return std::ranges::any_of(keys.all(),
                                     [&](const auto &key) { return key.first.starts_with(prefix); });
        };
        if (sizes("clip.audio."))
          add(audio_table(audio_config(keys), weights));
        if (sizes("llama."))
          add(llama_table(llama_config(keys), weights));
        return table;
      },
      "keys"_a);
  m.def("weight_types", [] {
    py::dict types;
    for (const kernels::WeightTypeInfo &info : kernels::weight_types())
      types[info.name] = py::make_tuple(info.file_type, info.encoding);
    return types;
  });
  m.def("architectures", [] {
    py::dict known;
    for (const Architecture &architecture : architectures)
      known[architecture.name] = architecture.paired_rows;
    return known;
  });
  m.def(
      "quantize",
      [](const Floats &values, const std::string &type) {
        if (values.ndim() != 2)
          throw Error("quantize wants (rows, columns)");
        const std::vector<uint8_t> data =
            quantize(values.data(), values.shape(0), values.shape(1), type_named(type), usable_cores());
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
}

} // namespace ltu

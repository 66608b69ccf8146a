#include "file/keys.h"
#include "gguf.h"
#include "support/error.h"
#include <cstring>

namespace ltu {

void Keys::add(std::string name, KeyValue value) {
  if (!places_.emplace(name, all_.size()).second)
    fail("key " + name + " is there twice");
  all_.emplace_back(std::move(name), value);
}

void Keys::fail(const std::string &what) const {
  throw ModelFileError(where_.empty() ? what : where_ + ": " + what);
}

const KeyValue *Keys::find(std::string_view name) const {
  const auto place = places_.find(std::string(name));
  return place == places_.end() ? nullptr : &all_[place->second].second;
}

std::optional<int64_t> Keys::find_integer(const std::string &name) const {
  const KeyValue *value = find(name);
  if (!value)
    return std::nullopt;
  if (const auto *integer = std::get_if<int64_t>(value))
    return *integer;
  fail("key " + name + " is not an integer");
}

std::optional<double> Keys::find_number(const std::string &name) const {
  const KeyValue *value = find(name);
  if (!value)
    return std::nullopt;
  if (const auto *number = std::get_if<double>(value))
    return *number;
  fail("key " + name + " is not a number");
}

std::optional<std::string> Keys::find_string(const std::string &name) const {
  const KeyValue *value = find(name);
  if (!value)
    return std::nullopt;
  if (const auto *text = std::get_if<std::string_view>(value))
    return std::string(*text);
  fail("key " + name + " is not a string");
}

std::vector<int64_t> Keys::integers(const std::string &name) const {
  const KeyValue *value = find(name);
  if (!value)
    return {};
  const auto *array = std::get_if<KeyArray>(value);
  if (!array || (array->type != GGUF_TYPE_INT32 && array->type != GGUF_TYPE_UINT32))
    fail("key " + name + " is not a list of integers");
  std::vector<int64_t> out(static_cast<size_t>(array->count));
  for (size_t i = 0; i < out.size(); ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, array->data.data() + i * sizeof bits, sizeof bits);
    out[i] = array->type == GGUF_TYPE_INT32 ? static_cast<int32_t>(bits) : int64_t{bits};
  }
  return out;
}

namespace {
template <class T> T required(const Keys &keys, const std::string &name, std::optional<T> value) {
  if (!value)
    keys.fail("key " + name + " is missing");
  return *std::move(value);
}
} // namespace

int64_t Keys::integer(const std::string &name) const {
  return required(*this, name, find_integer(name));
}
double Keys::number(const std::string &name) const {
  return required(*this, name, find_number(name));
}
std::string Keys::string(const std::string &name) const {
  return required(*this, name, find_string(name));
}

std::string quoted(std::string_view text) {
  constexpr size_t longest = 64;
  std::string out = "\"";
  for (const char c : text.substr(0, longest))
    out += c >= ' ' && c <= '~' ? c : '?';
  return out + (text.size() > longest ? "…\"" : "\"");
}

} // namespace ltu

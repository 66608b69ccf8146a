#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace ltu {

struct KeyArray { // as it lies in the file: numbers side by side, or each string behind its length
  uint32_t type;  // gguf_type of an item
  uint64_t count;
  std::span<const std::byte> data;
};
using KeyValue = std::variant<bool, int64_t, double, std::string_view, KeyArray>;

// What a model file says about itself, by name; or what one that is to be written will say. Texts and arrays
// are not copied: they lie in the file or with the caller. Every error names the file and the key.
class Keys {
public:
  explicit Keys(std::string where) : where_(std::move(where)) {}

  void add(std::string name, KeyValue value); // fails for a name that is there already
  const std::vector<std::pair<std::string, KeyValue>> &all() const { return all_; } // in the file's order
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  int64_t integer(const std::string &name) const;
  double number(const std::string &name) const;
  std::string string(const std::string &name) const;
  std::optional<int64_t> find_integer(const std::string &name) const;
  std::optional<double> find_number(const std::string &name) const;
  std::optional<std::string> find_string(const std::string &name) const;
  std::vector<int64_t> integers(const std::string &name) const; // of an array; none where the key is missing

  [[noreturn]] void fail(const std::string &what) const; // throws ModelFileError

private:
  std::string where_; // the file; may be empty
  std::vector<std::pair<std::string, KeyValue>> all_;
  std::unordered_map<std::string, size_t> places_;

  const KeyValue *find(std::string_view name) const;
};

// A file's text for a message: one line of ASCII, in quotes, not longer than a name would be.
std::string quoted(std::string_view text);

} // namespace ltu

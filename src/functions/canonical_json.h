#pragma once
// The canonical form of JSON text, by which two calls are equal: without white space, the members
// of each object in the order of their names. Numbers and strings stay the bytes that came, so
// `1.0` and `1`, or "\u0061" and "a", are two things: what a function is given differs too.
//
//   CanonicalJson canonical;                      // kept by its loop, so that it allocates nothing
//   canonical.append(R"({"b": 1.0, "a": 2})", key);      // {"a":2,"b":1.0}

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace seam::functions {

// One thread.
class CanonicalJson {
 public:
  // Appends the canonical form of `json`, which has passed check_json() and is smaller than 4 GiB.
  // Names are compared as bytes, as they stand between their quotes. An object with an escape in a
  // name keeps its order: two of its names may spell the same, and then their order has a meaning.
  // Equal names keep theirs for the same reason. Each byte is copied once, however deep it lies.
  void append(std::string_view json, std::string& out);

 private:
  struct Object {
    std::size_t begin = 0;           // of its brace
    std::size_t end = 0;             // after its closing brace
    std::uint32_t after = 0;         // the first object that begins after its end
    std::uint32_t first_member = 0;  // kNone: it has none
    std::uint32_t last_member = 0;
    bool sorted = true;    // so far
    bool escaped = false;  // a name has a backslash
  };
  struct Member {
    std::string_view name = {};      // with its quotes
    std::size_t value = 0;           // begin of its value
    std::size_t end = 0;             // of its value
    std::uint32_t first_object = 0;  // the first that begins within the value, or after it
    std::uint32_t next = 0;          // member of the same object; kNone: the last
  };

  [[nodiscard]] bool scan();
  void emit(std::size_t begin, std::size_t end, std::uint32_t object);
  void emit_object(const Object& object);
  void copy(std::size_t begin, std::size_t end);
  [[nodiscard]] std::size_t after_string(std::size_t at) const;

  std::string_view text_;
  std::string* out_ = nullptr;
  bool spaces_ = false;          // there is white space between tokens
  std::vector<Object> objects_;  // in the order in which they begin
  std::vector<Member> members_;
  std::vector<std::uint32_t> open_;   // objects around the place; kNone for an array
  std::vector<std::uint32_t> order_;  // members of the objects that are being written
};

}  // namespace seam::functions

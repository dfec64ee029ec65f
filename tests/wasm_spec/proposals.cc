// A walk over the binary format that only looks for what WebAssembly 2.0 does not have: types,
// limits and instructions, each with the immediates that must be stepped over. It validates
// nothing: the engines do. source    WebAssembly 3.0, chapter 5 "Binary Format"; the proposals' own
// texts for the rest.

#include "proposals.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace seam::wasm {
namespace {

class Walk {
 public:
  explicit Walk(std::string_view bytes) : bytes_(bytes) {}

  ModuleNeeds run() {
    skip(8);  // magic and version
    while (ok_ && at_ < bytes_.size()) {
      const std::uint8_t id = byte();
      const std::uint64_t size = number();
      if (!ok_ || size > bytes_.size() - at_) break;
      const std::size_t end = at_ + size;
      section(id);
      if (!ok_) break;
      at_ = end;
    }
    if (memories_ > 1) add("multi-memory");
    return std::move(found_);
  }

 private:
  void add(const char* proposal) { found_.proposals.insert(proposal); }

  std::uint8_t byte() {
    if (at_ >= bytes_.size()) ok_ = false;
    return ok_ ? static_cast<std::uint8_t>(bytes_[at_++]) : 0;
  }
  std::uint8_t peek() const {
    return at_ < bytes_.size() ? static_cast<std::uint8_t>(bytes_[at_]) : 0;
  }
  void skip(std::uint64_t size) {
    if (size > bytes_.size() - at_) ok_ = false;
    if (ok_) at_ += size;
  }
  // LEB128 of either sign: those with one are only stepped over.
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int shift = 0; ok_; shift += 7) {
      const std::uint8_t next = byte();
      if (shift < 64) value |= static_cast<std::uint64_t>(next & 0x7fU) << shift;
      if ((next & 0x80U) == 0) break;
    }
    return value;
  }
  void numbers(int count) {
    while (count-- > 0) number();
  }
  std::string_view name() {
    const std::uint64_t size = number();
    const std::size_t begin = at_;
    skip(size);
    return ok_ ? bytes_.substr(begin, size) : std::string_view();
  }
  template <class Each>
  void vector(Each each) {
    for (std::uint64_t left = number(); ok_ && left > 0; --left) each();
  }

  // ---- types

  void heap_type(bool of_reference_type) {
    if ((peek() & 0xc0U) != 0x40) {  // an index; negative numbers of one byte are abstract types
      number();
      if (of_reference_type) add("function-references");
      return;
    }
    abstract_type(byte());
  }
  void abstract_type(std::uint8_t type) {
    switch (type) {
      case 0x69:  // exn
      case 0x74:  // noexn
        return add("exceptions");
      case 0x6a:  // array
      case 0x6b:  // struct
      case 0x6c:  // i31
      case 0x6d:  // eq
      case 0x6e:  // any
      case 0x71:  // none
      case 0x72:  // noextern
      case 0x73:  // nofunc
        return add("gc");
      default:
        return;  // func, extern, numbers
    }
  }
  void value_type() {
    const std::uint8_t type = byte();
    if (type == 0x63 || type == 0x64) {  // (ref null …), (ref …)
      add("function-references");
      return heap_type(true);
    }
    abstract_type(type);
  }
  void block_type() {
    const std::uint8_t next = peek();
    if (next == 0x40) return skip(1);
    if ((next & 0xc0U) == 0x40) return value_type();
    number();
  }
  void field_type() {
    if (peek() == 0x78 || peek() == 0x77) {
      skip(1);  // i8, i16
    } else {
      value_type();
    }
    skip(1);  // whether it can be changed
  }
  void composite_type() {
    switch (byte()) {
      case 0x60:
        vector([&] { value_type(); });
        vector([&] { value_type(); });
        return;
      case 0x5f:
        add("gc");
        return vector([&] { field_type(); });
      case 0x5e:
        add("gc");
        return field_type();
      default:
        ok_ = false;
    }
  }
  void sub_type() {
    if (peek() == 0x50 || peek() == 0x4f) {
      add("gc");
      skip(1);
      vector([&] { number(); });
    }
    composite_type();
  }
  void recursive_type() {
    if (peek() != 0x4e) return sub_type();
    add("gc");
    skip(1);
    vector([&] { sub_type(); });
  }
  // The least of them.
  std::uint64_t limits() {
    const std::uint8_t flags = byte();
    const std::uint64_t least = number();
    if ((flags & 1U) != 0) number();
    if ((flags & 2U) != 0) add("threads");
    if ((flags & 4U) != 0) add("memory64");
    if ((flags & 8U) != 0) {
      add("custom-page-sizes");
      number();
    }
    return least;
  }
  void table_type() {
    value_type();
    found_.table_elements_min = std::max(found_.table_elements_min, limits());
  }
  void memory_type() {
    ++memories_;
    limits();
  }
  bool global_type() {
    value_type();
    return byte() != 0;
  }
  void tag_type() {
    add("exceptions");
    skip(1);
    number();
  }

  // ---- sections

  void section(std::uint8_t id) {
    switch (id) {
      case 1:
        return vector([&] { recursive_type(); });
      case 2:
        return vector([&] { import(); });
      case 4:
        return vector([&] { table(); });
      case 5:
        return vector([&] { memory_type(); });
      case 6:
        return vector([&] {
          global_type();
          constant();
        });
      case 8:
        start_function_ = number();
        return;
      case 9:
        return vector([&] { element_segment(); });
      case 10:
        return vector([&] { body(); });
      case 11:
        return vector([&] { data_segment(); });
      case 13:
        return vector([&] { tag_type(); });
      default:
        return;  // nothing to learn of custom sections, functions, exports, data count
    }
  }
  void import() {
    found_.modules.emplace(name());
    name();
    switch (byte()) {
      case 0:
        number();
        return;
      case 1:
        return table_type();
      case 2:
        return memory_type();
      case 3:
        imported_globals_.push_back(global_type());
        return;
      case 4:
        return tag_type();
      default:
        ok_ = false;
    }
  }
  void table() {
    if (peek() != 0x40) return table_type();
    add("function-references");  // with the value that its elements begin with
    skip(2);
    table_type();
    constant();
  }
  void element_segment() {
    const std::uint64_t flags = number();
    const bool active = (flags & 1U) == 0;
    const bool expressions = (flags & 4U) != 0;
    if (active && (flags & 2U) != 0) number();
    if (active) constant();
    if ((flags & 3U) != 0) {
      if (expressions) {
        value_type();
      } else {
        skip(1);
      }
    }
    vector([&] {
      if (expressions) {
        constant();
      } else {
        number();
      }
    });
  }
  void data_segment() {
    const std::uint64_t flags = number();
    if (flags == 2 && number() != 0) add("multi-memory");
    if (flags != 1) constant();
    name();  // bytes, which have the form of a name
  }
  void body() {
    const std::uint64_t size = number();
    const std::size_t end = at_ + size;
    vector([&] {
      number();
      value_type();
    });
    code();
    if (at_ != end) ok_ = false;
  }
  void constant() {
    constant_ = true;
    code();
    constant_ = false;
  }

  // ---- instructions

  // Until the `end` of what it began in.
  void code() {
    for (int depth = 1; ok_ && depth > 0;) depth += instruction(byte());
  }

  // By how much the nesting changes.
  int instruction(std::uint8_t opcode) {
    if (opcode >= 0x28 && opcode <= 0x3e) {
      memory_argument();
      return 0;
    }
    if (opcode >= 0x45 && opcode <= 0xc4) {
      const bool arithmetic =
          (opcode >= 0x6a && opcode <= 0x6c) || (opcode >= 0x7c && opcode <= 0x7e);
      if (constant_ && arithmetic) add("extended-const");
      return 0;
    }
    switch (opcode) {
      case 0x06:  // try
        add("legacy-exceptions");
        [[fallthrough]];
      case 0x02:  // block, loop, if
      case 0x03:
      case 0x04:
        block_type();
        return 1;
      case 0x1f:
        add("exceptions");
        try_table();
        return 1;
      case 0x0b:
        return -1;
      case 0x18:  // delegate
        number();
        return -1;
      case 0x00:
      case 0x01:
      case 0x05:
      case 0x0f:
      case 0x19:
      case 0x1a:
      case 0x1b:
      case 0xd1:
        return 0;
      case 0x08:  // throw
        add("exceptions");
        number();
        return 0;
      case 0x0a:  // throw_ref
        add("exceptions");
        return 0;
      case 0x07:
      case 0x09:
      case 0x0c:  // br, br_if
      case 0x0d:
      case 0x10:  // call
      case 0x20:  // locals, global.set, tables
      case 0x21:
      case 0x22:
      case 0x24:
      case 0x25:
      case 0x26:
      case 0x41:
      case 0x42:
        number();
        return 0;
      case 0xd2:  // ref.func
        if (number() == start_function_) found_.refers_to_start_function = !constant_;
        return 0;
      case 0x0e:  // br_table
        vector([&] { number(); });
        number();
        return 0;
      case 0x11:  // call_indirect
        numbers(2);
        return 0;
      case 0x12:
        add("tail-call");
        number();
        return 0;
      case 0x13:
        add("tail-call");
        numbers(2);
        return 0;
      case 0x15:  // return_call_ref
        add("tail-call");
        [[fallthrough]];
      case 0x14:  // call_ref
      case 0xd5:  // br_on_null, br_on_non_null
      case 0xd6:
        add("function-references");
        number();
        return 0;
      case 0xd4:  // ref.as_non_null
        add("function-references");
        return 0;
      case 0x1c:  // select
        vector([&] { value_type(); });
        return 0;
      case 0x23:
        global_get(number());
        return 0;
      case 0x3f:  // memory.size, memory.grow
      case 0x40:
        memory_index();
        return 0;
      case 0x43:
        skip(4);
        return 0;
      case 0x44:
        skip(8);
        return 0;
      case 0xd0:
        heap_type(true);
        return 0;
      case 0xd3:  // ref.eq
        add("gc");
        return 0;
      case 0xfb:
        add("gc");
        of_gc(number());
        return 0;
      case 0xfc:
        of_bulk_memory(number());
        return 0;
      case 0xfd:
        of_vectors(number());
        return 0;
      case 0xfe:
        add("threads");
        if (number() == 3) {
          skip(1);
        } else {
          memory_argument();
        }
        return 0;
      default:
        ok_ = false;
        return 0;
    }
  }
  void global_get(std::uint64_t index) {
    if (!constant_) return;
    if (index >= imported_globals_.size()) {
      add("gc");
    } else if (imported_globals_[index]) {
      found_.constant_reads_mutable_global = true;
    }
  }
  void memory_index() {
    if (number() != 0) add("multi-memory");
  }
  void memory_argument() {
    if ((number() & 0x40U) != 0) {
      add("multi-memory");
      number();
    }
    number();
  }
  void try_table() {
    block_type();
    vector([&] { numbers(byte() < 2 ? 2 : 1); });
  }
  void of_gc(std::uint64_t opcode) {
    switch (opcode) {
      case 2:  // fields of structures; array.new_fixed, …_data, …_elem, copy
      case 3:
      case 4:
      case 5:
      case 8:
      case 9:
      case 10:
      case 17:
      case 18:
      case 19:
        return numbers(2);
      case 15:
      case 26:
      case 27:
      case 28:
      case 29:
      case 30:
        return;
      case 20:  // ref.test, ref.cast
      case 21:
      case 22:
      case 23:
        return heap_type(false);
      case 24:  // br_on_cast
      case 25:
        skip(1);
        number();
        heap_type(false);
        return heap_type(false);
      default:
        number();
    }
  }
  void of_bulk_memory(std::uint64_t opcode) {
    if (opcode < 8) return;
    if (opcode == 8) {
      number();
      return memory_index();
    }
    if (opcode == 10) memory_index();
    if (opcode == 10 || opcode == 11) return memory_index();
    if (opcode >= 19) return add("wide-arithmetic");
    numbers(opcode == 12 || opcode == 14 ? 2 : 1);
  }
  void of_vectors(std::uint64_t opcode) {
    if (opcode >= 0x100) return add("relaxed-simd");
    if (opcode == 12 || opcode == 13) return skip(16);
    const bool lane = opcode >= 84 && opcode <= 91;
    if (opcode < 12 || lane || opcode == 92 || opcode == 93) memory_argument();
    if (lane || (opcode >= 21 && opcode <= 34)) skip(1);
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
  bool constant_ = false;
  std::uint64_t memories_ = 0;
  std::uint64_t start_function_ = ~0ULL;
  std::vector<bool> imported_globals_;  // whether each can change
  ModuleNeeds found_;
};

}  // namespace

ModuleNeeds needs_of(std::string_view module_bytes) { return Walk(module_bytes).run(); }

}  // namespace seam::wasm

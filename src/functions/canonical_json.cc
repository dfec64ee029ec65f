// Two passes. The first notes every object and every member with where they begin and end; objects
// are numbered in the order in which they begin, so those within one member are a row of numbers.
// The second writes: it copies what lies between objects and, at an object, goes through its
// members by name. In {"b":[{"d":1,"c":2}],"a":3} the first pass finds object 0 with members b, a
// and object 1, within b, with members d, c; the second writes `{`, then member a, then member b:
// `"b":[` copied, object 1 as c, d, and `]` copied.
#include "functions/canonical_json.h"

#include <algorithm>
#include <cstring>

namespace seam::functions {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

void CanonicalJson::append(std::string_view json, std::string& out) {
  text_ = json;
  out_ = &out;
  if (scan()) {
    out.append(json);
    return;
  }
  emit(0, json.size(), 0);
}

std::size_t CanonicalJson::after_string(std::size_t at) const {
  while (true) {
    const auto* quote =
        static_cast<const char*>(std::memchr(text_.data() + at + 1, '"', text_.size() - at - 1));
    if (quote == nullptr) return text_.size();
    at = static_cast<std::size_t>(quote - text_.data());
    std::size_t slashes = 0;
    while (text_[at - 1 - slashes] == '\\') ++slashes;  // ends at the opening quote
    if (slashes % 2 == 0) return at + 1;
  }
}

// Returns whether the text is its own canonical form.
bool CanonicalJson::scan() {
  objects_.clear();
  members_.clear();
  open_.clear();
  spaces_ = false;
  bool canonical = true;
  bool expects_name = false;
  const auto end_member = [&](std::size_t at) {
    if (open_.empty() || open_.back() == kNone) return;
    const Object& object = objects_[open_.back()];
    if (object.last_member != kNone) members_[object.last_member].end = at;
  };
  for (std::size_t at = 0; at < text_.size();) {
    const char c = text_[at];
    switch (c) {
      case '{':
        open_.push_back(static_cast<std::uint32_t>(objects_.size()));
        objects_.push_back({.begin = at, .first_member = kNone, .last_member = kNone});
        expects_name = true;
        ++at;
        break;
      case '[':
        open_.push_back(kNone);
        expects_name = false;
        ++at;
        break;
      case '}':
      case ']':
        end_member(at);
        if (!open_.empty() && open_.back() != kNone) {
          Object& object = objects_[open_.back()];
          object.end = at + 1;
          object.after = static_cast<std::uint32_t>(objects_.size());
          if (!object.sorted && !object.escaped) canonical = false;
        }
        if (!open_.empty()) open_.pop_back();
        expects_name = false;
        ++at;
        break;
      case ',':
        end_member(at);
        expects_name = !open_.empty() && open_.back() != kNone;
        ++at;
        break;
      case '"': {
        const std::size_t end = after_string(at);
        if (expects_name) {
          Object& object = objects_[open_.back()];
          Member member{.name = text_.substr(at, end - at), .next = kNone};
          if (member.name.find('\\') != std::string_view::npos) object.escaped = true;
          const auto index = static_cast<std::uint32_t>(members_.size());
          if (object.last_member == kNone) {
            object.first_member = index;
          } else {
            Member& last = members_[object.last_member];
            last.next = index;
            if (member.name < last.name) object.sorted = false;
          }
          object.last_member = index;
          members_.push_back(member);
          expects_name = false;
        }
        at = end;
        break;
      }
      case ':': {
        Member& member = members_[objects_[open_.back()].last_member];
        member.value = ++at;
        member.first_object = static_cast<std::uint32_t>(objects_.size());
        break;
      }
      default:
        if (is_space(c)) spaces_ = true;
        ++at;
    }
  }
  return canonical && !spaces_;
}

void CanonicalJson::emit(std::size_t begin, std::size_t end, std::uint32_t object) {
  while (object < objects_.size() && objects_[object].begin < end) {
    const Object& next = objects_[object];
    copy(begin, next.begin);
    emit_object(next);
    begin = next.end;
    object = next.after;
  }
  copy(begin, end);
}

// Deeper objects are written by calls of this within it: at most 513, by the limit of check_json().
void CanonicalJson::emit_object(const Object& object) {
  const std::size_t base = order_.size();
  for (std::uint32_t i = object.first_member; i != kNone; i = members_[i].next) order_.push_back(i);
  const std::size_t end = order_.size();
  if (!object.sorted && !object.escaped) {
    // Members are numbered as they came, which keeps equal names in order without a stable sort.
    std::ranges::sort(order_.begin() + static_cast<std::ptrdiff_t>(base), order_.end(),
                      [this](std::uint32_t a, std::uint32_t b) {
                        const int order = members_[a].name.compare(members_[b].name);
                        return order != 0 ? order < 0 : a < b;
                      });
  }
  out_->push_back('{');
  for (std::size_t i = base; i < end; ++i) {
    const Member& member = members_[order_[i]];
    if (i > base) out_->push_back(',');
    out_->append(member.name).push_back(':');
    emit(member.value, member.end, member.first_object);
  }
  out_->push_back('}');
  order_.resize(base);
}

void CanonicalJson::copy(std::size_t begin, std::size_t end) {
  if (!spaces_) {
    out_->append(text_.substr(begin, end - begin));
    return;
  }
  for (std::size_t at = begin; at < end;) {
    if (text_[at] == '"') {
      const std::size_t after = after_string(at);
      out_->append(text_.substr(at, after - at));
      at = after;
    } else {
      if (!is_space(text_[at])) out_->push_back(text_[at]);
      ++at;
    }
  }
}

}  // namespace seam::functions

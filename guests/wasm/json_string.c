#include "json_string.h"

#include <stdint.h>
#include <string.h>

static size_t skip_space(const char* json, size_t i, size_t size) {
  while (i < size && (json[i] == ' ' || json[i] == '\t' || json[i] == '\n' || json[i] == '\r')) ++i;
  return i;
}

// From an opening quote to behind the closing one.
static size_t skip_string(const char* json, size_t i, size_t size) {
  for (++i; i < size && json[i] != '"'; ++i) {
    if (json[i] == '\\') ++i;
  }
  return i + 1;
}

// To the comma or bracket that ends a value.
static size_t skip_value(const char* json, size_t i, size_t size) {
  for (size_t depth = 0; i < size;) {
    const char c = json[i];
    if (c == '"') {
      i = skip_string(json, i, size);
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}')) return i;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    ++i;
  }
  return i;
}

static uint32_t hex4(const char* digits) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = digits[i];
    value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

static size_t put_utf8(char* out, uint32_t c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  const size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const uint8_t kLead[] = {0, 0xc0, 0xe0, 0xf0};
  for (size_t k = more; k > 0; --k, c >>= 6) out[k] = (char)(0x80 | (c & 0x3f));
  out[0] = (char)(kLead[more] | c);
  return more + 1;
}

// Decodes what stands between quotes over itself: an escape is never shorter than what it spells.
static size_t decode(char* text, size_t size) {
  const char* first = memchr(text, '\\', size);
  if (first == NULL) return size;
  size_t out = (size_t)(first - text);
  for (size_t i = out; i < size;) {
    if (text[i] != '\\' || i + 1 >= size) {
      text[out++] = text[i++];
      continue;
    }
    const char escape = text[i + 1];
    i += 2;
    switch (escape) {
      case 'b': text[out++] = '\b'; break;
      case 'f': text[out++] = '\f'; break;
      case 'n': text[out++] = '\n'; break;
      case 'r': text[out++] = '\r'; break;
      case 't': text[out++] = '\t'; break;
      case 'u': {
        if (i + 4 > size) return out;
        uint32_t c = hex4(text + i);
        i += 4;
        if (c >= 0xd800 && c < 0xdc00 && i + 6 <= size) {  // the first of a pair
          c = 0x10000 + ((c - 0xd800) << 10) + (hex4(text + i + 2) - 0xdc00);
          i += 6;
        }
        out += put_utf8(text + out, c);
        break;
      }
      default: text[out++] = escape; break;  // '"', '\\', '/'
    }
  }
  return out;
}

bool find_json_string(char* json, size_t size, const char* name, char** text, size_t* text_size) {
  size_t i = skip_space(json, 0, size);
  if (i >= size || json[i] != '{') return false;
  for (i = skip_space(json, i + 1, size); i < size && json[i] == '"';) {
    char* key = json + i + 1;
    i = skip_string(json, i, size);
    const size_t key_size = decode(key, (size_t)(json + i - 1 - key));
    i = skip_space(json, skip_space(json, i, size) + 1, size);  // the colon
    if (i < size && json[i] == '"' && key_size == strlen(name) && memcmp(key, name, key_size) == 0) {
      *text = json + i + 1;
      *text_size = decode(*text, skip_string(json, i, size) - i - 2);
      return true;
    }
    i = skip_value(json, i, size);
    if (i >= size || json[i] != ',') return false;
    i = skip_space(json, i + 1, size);
  }
  return false;
}

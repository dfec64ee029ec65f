#pragma once
// Headers of the C++ library and of {fmt} that nearly every file includes, read once for a sanitizer's build (SEAM_PRECOMPILE): half of
// what such a build takes is reading them. A source includes what it uses all the same; the release build holds it to that.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

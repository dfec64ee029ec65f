#pragma once
// Headers of the C++ library and of {fmt} that nearly every file includes, read once for a build (SEAM_PRECOMPILE): half of
// what a build takes is reading them. A source includes what it uses all the same: clang-tidy reads it without this one.
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

#include "process/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace seam::process {

namespace {

constexpr std::array<std::string_view, 3> kControllerNames{"memory", "pids", "cpu"};

Result<void> write_value(const std::string& path, std::string_view value) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return fail_errno(path, errno);
  if (::write(file.get(), value.data(), value.size()) < 0) return fail_errno(path, errno);
  return {};
}

Result<void> write_value(const std::string& path, std::uint64_t value) {
  return write_value(path, std::to_string(value));
}

std::string read_all(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The number after `key` on a line of its own: "anon 4096".
std::optional<std::uint64_t> find_number(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  std::string word;
  std::uint64_t number = 0;
  while (lines >> word >> number) {
    if (word == key) return number;
  }
  return std::nullopt;
}

bool contains_word(const std::string& text, std::string_view wanted, char separator) {
  std::istringstream words(text);
  std::string word;
  while (std::getline(words, word, separator)) {
    if (word.ends_with('\n')) word.pop_back();
    if (word == wanted) return true;
  }
  return false;
}

// A mounted hierarchy: where, and which of its groups lies there (not "/" inside a container).
struct Hierarchy {
  std::string mount_point;
  std::string mounted_group;
  std::string options;
};

std::vector<Hierarchy> hierarchies(std::string_view type) {
  std::vector<Hierarchy> found;
  std::ifstream file("/proc/self/mountinfo");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string skip;
    Hierarchy hierarchy;
    fields >> skip >> skip >> skip >> hierarchy.mounted_group >> hierarchy.mount_point;
    while (fields >> skip && skip != "-") {
    }
    std::string file_system;
    fields >> file_system >> skip >> hierarchy.options;
    if (file_system == type) found.push_back(std::move(hierarchy));
  }
  return found;
}

// The path of this process's group in the hierarchy that carries `controller`, or with "" in
// version 2's.
std::optional<std::string> own_group(std::string_view controller) {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : contains_word(controllers, controller, ','))
      return line.substr(second + 1);
  }
  return std::nullopt;
}

// The directory of a group, seen through the mount.
std::string directory_of(const Hierarchy& hierarchy, std::string group) {
  if (hierarchy.mounted_group != "/" && group.starts_with(hierarchy.mounted_group))
    group.erase(0, hierarchy.mounted_group.size());
  std::string directory = hierarchy.mount_point + group;
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  return ::access(directory.c_str(), F_OK) == 0 ? directory : hierarchy.mount_point;
}

bool make_directory(const std::string& path) {
  return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
}

// Removes the groups directly below, and then the group; false: some are in use.
bool remove_group_of_groups(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.is_directory(error)) ::rmdir(entry.path().c_str());
  }
  return ::rmdir(directory.c_str()) == 0 || errno == ENOENT;
}

// Servers that were killed together with their spawner leave their groups, empty.
void remove_stale(const std::string& base) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(base, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("seam-")) continue;
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data() + 5, name.data() + name.size(), pid);
    if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) continue;
    if (::kill(pid, 0) != 0 && errno == ESRCH) remove_group_of_groups(entry.path());
  }
}

}  // namespace

void CgroupTree::find_v1() {
  for (const Hierarchy& hierarchy : hierarchies("cgroup")) {
    for (std::size_t index = 0; index < kControllers; ++index) {
      if (!contains_word(hierarchy.options, kControllerNames[index], ',')) continue;
      const auto group = own_group(kControllerNames[index]);
      if (!group) continue;
      const std::string directory = directory_of(hierarchy, *group);
      if (::access(directory.c_str(), W_OK) != 0) {
        detail_ = fmt::format("no permission to make groups in {}", directory);
        continue;
      }
      base_[index] = directory;
      version_ = CgroupVersion::kV1;
    }
  }
}

void CgroupTree::find_v2() {
  const auto group = own_group("");
  const std::vector<Hierarchy> mounted = hierarchies("cgroup2");
  if (!group || mounted.empty()) return;
  const std::string directory = directory_of(mounted.front(), *group);
  const std::string controllers = read_all(directory + "/cgroup.controllers");
  if (!contains_word(controllers, "memory", ' ')) {
    if (version_ == CgroupVersion::kNone && detail_.empty())
      detail_ = fmt::format("{} has no memory controller", directory);
    return;
  }
  if (::access(directory.c_str(), W_OK) != 0 ||
      ::access((directory + "/cgroup.procs").c_str(), W_OK) != 0 ||
      ::access((directory + "/cgroup.subtree_control").c_str(), W_OK) != 0) {
    detail_ =
        fmt::format("{} is not delegated to this user; with systemd: Delegate=yes", directory);
    return;
  }
  version_ = CgroupVersion::kV2;
  for (std::size_t index = 0; index < kControllers; ++index) {
    if (contains_word(controllers, kControllerNames[index], ' ')) base_[index] = directory;
  }
}

// Gives the groups below the base their controllers, moving ourselves out of the way first.
bool CgroupTree::enable_v2() {
  const std::string base = base_[kMemory];
  std::string wanted;
  for (std::size_t index = 0; index < kControllers; ++index) {
    if (!base_[index].empty()) wanted += fmt::format("+{} ", kControllerNames[index]);
  }
  Result<void> enabled = write_value(base + "/cgroup.subtree_control", wanted);
  if (!enabled) {
    std::istringstream members(read_all(base + "/cgroup.procs"));
    pid_t member = 0;
    while (members >> member) {
      if (member != ::getpid() && member != ::getppid()) {
        detail_ =
            fmt::format("other processes run in {}; start the server in a group of its own", base);
        return false;
      }
    }
    const std::string server = base + "/server";
    if (!make_directory(server)) return false;
    for (const pid_t pid : {::getppid(), ::getpid()}) {
      if (Result<void> moved =
              write_value(server + "/cgroup.procs", static_cast<std::uint64_t>(pid));
          !moved) {
        detail_ = moved.error().message;
        return false;
      }
    }
    enabled = write_value(base + "/cgroup.subtree_control", wanted);
  }
  const std::string group = base + "/" + name_;
  if (enabled && make_directory(group))
    enabled = write_value(group + "/cgroup.subtree_control", wanted);
  if (!enabled) detail_ = enabled.error().message;
  return enabled.has_value();
}

CgroupTree CgroupTree::probe() {
  CgroupTree tree;
  tree.find_v1();
  if (!tree.has_memory()) {
    CgroupTree second;
    second.find_v2();
    if (second.version_ == CgroupVersion::kV2 || tree.version_ == CgroupVersion::kNone)
      tree = std::move(second);
  }
  if (tree.version_ != CgroupVersion::kNone) {
    tree.detail_ = fmt::format("cgroup {} at {}", tree.version_ == CgroupVersion::kV1 ? "v1" : "v2",
                               tree.has_memory() ? tree.base_[kMemory] : tree.base_[kPids]);
  } else if (tree.detail_.empty()) {
    tree.detail_ = "no cgroup hierarchy is mounted";
  }
  return tree;
}

CgroupTree CgroupTree::open(const std::string& name) {
  CgroupTree tree = probe();
  tree.name_ = name;
  if (tree.version_ == CgroupVersion::kNone) return tree;
  for (std::string& base : tree.base_) {
    if (base.empty()) continue;
    remove_stale(base);
    const std::string group = base + "/" + name;
    remove_group_of_groups(group);
    if (!make_directory(group)) {
      tree.detail_ = fail_errno("make " + group, errno).error().message;
      base.clear();
    }
  }
  if (tree.version_ == CgroupVersion::kV2 && tree.has_memory() && !tree.enable_v2())
    tree.base_ = {};
  if (std::ranges::all_of(tree.base_, &std::string::empty)) tree.version_ = CgroupVersion::kNone;
  return tree;
}

Result<Cgroup> CgroupTree::create(const std::string& name, const WorkerLimits& limits) const {
  Cgroup group;
  group.version_ = version_;
  const auto add = [&](Controller controller) -> Result<std::string> {
    if (base_[controller].empty()) return std::string();
    std::string directory = base_[controller] + "/" + name_ + "/" + name;
    if (!make_directory(directory)) return fail_errno("make " + directory, errno);
    if (std::ranges::find(group.directories_, directory) == group.directories_.end())
      group.directories_.push_back(directory);
    return directory;
  };
  const auto set_up = [&]() -> Result<void> {
    SEAM_ASSIGN_OR_RETURN(group.memory_, add(kMemory));
    SEAM_ASSIGN_OR_RETURN(group.pids_, add(kPids));
    SEAM_ASSIGN_OR_RETURN(group.cpu_, add(kCpu));
    if (!group.memory_.empty())
      SEAM_RETURN_IF_ERROR(group.set_memory_limit(limits.memory_bytes_max));
    if (!group.pids_.empty())
      SEAM_RETURN_IF_ERROR(write_value(group.pids_ + "/pids.max", limits.processes_max));
    if (group.cpu_.empty()) return {};
    if (version_ == CgroupVersion::kV2)
      return write_value(group.cpu_ + "/cpu.weight",
                         std::clamp<std::uint64_t>(limits.cpu_weight, 1, 10000));
    return write_value(group.cpu_ + "/cpu.shares",
                       std::max<std::uint64_t>(2, limits.cpu_weight * 1024ULL / 100));
  };
  if (Result<void> done = set_up(); !done) {
    [[maybe_unused]] const bool removed = group.remove();
    return std::unexpected(std::move(done).error());
  }
  return group;
}

bool CgroupTree::remove() const {
  bool all = true;
  for (const std::string& base : base_) {
    if (!base.empty() && !remove_group_of_groups(base + "/" + name_)) all = false;
  }
  return all;
}

void CgroupTree::remove_leftovers(const std::string& name) {
  CgroupTree tree = probe();
  tree.name_ = name;
  for (int attempt = 0; attempt < 200 && !tree.remove(); ++attempt) ::usleep(5000);
}

Result<std::vector<FileDescriptor>> Cgroup::open_entries() const {
  std::vector<FileDescriptor> entries;
  for (const std::string& directory : directories_) {
    const std::string path = directory + "/cgroup.procs";
    FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) return fail_errno(path, errno);
    entries.push_back(std::move(file));
  }
  return entries;
}

Result<void> Cgroup::set_memory_limit(std::uint64_t bytes_max) const {
  if (memory_.empty()) return fail(ErrorCode::kUnimplemented, "no memory cgroup");
  if (version_ == CgroupVersion::kV2) {
    SEAM_RETURN_IF_ERROR(write_value(memory_ + "/memory.max", bytes_max));
    // Absent on a kernel without swap.
    const Result<void> no_swap = write_value(memory_ + "/memory.swap.max", 0);
    if (!no_swap && no_swap.error().code != ErrorCode::kNotFound) return no_swap;
    return write_value(memory_ + "/memory.oom.group", 1);
  }
  // Memory with swap may never be below memory alone, so the order depends on the direction.
  const std::string with_swap = memory_ + "/memory.memsw.limit_in_bytes";
  const std::string alone = memory_ + "/memory.limit_in_bytes";
  const bool counts_swap = ::access(with_swap.c_str(), F_OK) == 0;
  if (!counts_swap) {
    const Result<void> no_swap = write_value(memory_ + "/memory.swappiness", 0);
    if (!no_swap && no_swap.error().code != ErrorCode::kNotFound) return no_swap;
    return write_value(alone, bytes_max);
  }
  if (write_value(with_swap, bytes_max)) {
    SEAM_RETURN_IF_ERROR(write_value(alone, bytes_max));
    return write_value(with_swap, bytes_max);
  }
  SEAM_RETURN_IF_ERROR(write_value(alone, bytes_max));
  return write_value(with_swap, bytes_max);
}

Result<std::uint64_t> Cgroup::memory_bytes() const {
  if (memory_.empty()) return fail(ErrorCode::kUnimplemented, "no memory cgroup");
  const char* const key = version_ == CgroupVersion::kV2 ? "anon" : "total_rss";
  const auto number = find_number(read_all(memory_ + "/memory.stat"), key);
  if (!number) return fail(ErrorCode::kNotFound, "the group has gone");
  return *number;
}

std::uint64_t Cgroup::out_of_memory_kills() const {
  if (memory_.empty()) return 0;
  const char* const file =
      version_ == CgroupVersion::kV2 ? "/memory.events" : "/memory.oom_control";
  return find_number(read_all(memory_ + file), "oom_kill").value_or(0);
}

bool Cgroup::remove() const {
  return std::ranges::all_of(directories_, [](const std::string& directory) {
    return ::rmdir(directory.c_str()) == 0 || errno == ENOENT;
  });
}

}  // namespace seam::process

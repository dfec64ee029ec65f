#include "packages/package_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "base/check.h"
#include "base/file_descriptor.h"
#include "base/identifier.h"
#include "base/log.h"

namespace seam::packages {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kTemporary = ".new";
constexpr std::string_view kDiscarded = ".gone";

Result<void> make_private(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno("cannot make " + path, errno);
  if (::chmod(path.c_str(), 0700) != 0) return fail_errno("cannot set the mode of " + path, errno);
  return {};
}

}  // namespace

struct PackageCache::Holders {
  std::mutex mutex;               // guards what follows
  PackageCache* cache = nullptr;  // null once it is closed
  std::map<std::string, std::weak_ptr<const std::string>, std::less<>> folders;  // by hash
};

PackageCache::PackageCache(PackageCacheOptions options)
    : options_(std::move(options)), holders_(std::make_shared<Holders>()), loop_("packages") {
  holders_->cache = this;
  thread_ = std::jthread([this] { loop_.run(); });
}

Result<std::unique_ptr<PackageCache>> PackageCache::open(PackageCacheOptions options) {
  std::error_code error;
  options.folder = fs::absolute(options.folder, error).string();
  if (error) return fail_errno("cannot resolve " + options.folder, error.value());
  SEAM_RETURN_IF_ERROR(make_private(options.folder));
  // What an earlier server had not finished.
  std::vector<fs::path> unfinished;
  for (fs::directory_iterator each(options.folder, error); !error && each != fs::end(each);
       each.increment(error)) {
    const std::string extension = each->path().extension().string();
    if (extension == kTemporary || extension == kDiscarded) unfinished.push_back(each->path());
  }
  if (error) return fail_errno("cannot read " + options.folder, error.value());
  for (const fs::path& path : unfinished) {
    fs::remove_all(path, error);
    if (error) return fail_errno("cannot remove " + path.string(), error.value());
  }
  return std::unique_ptr<PackageCache>(new PackageCache(std::move(options)));
}

PackageCache::~PackageCache() { close(); }

void PackageCache::close() {
  {
    const std::lock_guard lock(holders_->mutex);
    holders_->cache = nullptr;
  }
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
}

Task<Result<FolderPtr>> PackageCache::unpack(std::string hash, std::string_view content) {
  EventLoop* const caller = EventLoop::current();
  CHECK(caller != nullptr);
  co_await loop_.schedule();
  Result<FolderPtr> folder = unpack_here(hash, content);
  co_await caller->schedule();
  co_return folder;
}

Task<> PackageCache::keep_only(std::vector<std::string> hashes) {
  EventLoop* const caller = EventLoop::current();
  CHECK(caller != nullptr);
  co_await loop_.schedule();
  std::error_code error;
  std::vector<std::string> others;
  for (fs::directory_iterator each(options_.folder, error); !error && each != fs::end(each);
       each.increment(error)) {
    std::string name = each->path().filename().string();
    if (std::ranges::find(hashes, name) == hashes.end()) others.push_back(std::move(name));
  }
  for (const std::string& name : others) discard_unheld(name);
  co_await caller->schedule();
}

Result<FolderPtr> PackageCache::unpack_here(const std::string& hash, std::string_view content) {
  {
    const std::lock_guard lock(holders_->mutex);
    const auto found = holders_->folders.find(hash);
    if (found != holders_->folders.end()) {
      if (FolderPtr held = found->second.lock()) return held;
    }
  }
  if (!is_whole(hash)) SEAM_RETURN_IF_ERROR(unpack_anew(hash, content));
  return hold(hash);
}

FolderPtr PackageCache::hold(const std::string& hash) {
  // The end of the last holder, on whatever thread, only has the cache look at the folder again.
  FolderPtr folder(new std::string(fmt::format("{}/{}/files", options_.folder, hash)),
                   [holders = holders_, hash](const std::string* path) {
                     delete path;
                     const std::lock_guard lock(holders->mutex);
                     PackageCache* const cache = holders->cache;
                     if (cache != nullptr)
                       cache->loop_.post([cache, hash] { cache->discard_unheld(hash); });
                   });
  const std::lock_guard lock(holders_->mutex);
  holders_->folders[hash] = folder;
  return folder;
}

// On the cache's thread, as is all that makes folders: none comes back meanwhile.
void PackageCache::discard_unheld(const std::string& hash) {
  {
    const std::lock_guard lock(holders_->mutex);
    const auto found = holders_->folders.find(hash);
    if (found != holders_->folders.end()) {
      if (!found->second.expired()) return;
      holders_->folders.erase(found);
    }
  }
  discard(hash);
}

void PackageCache::discard(const std::string& name) const {
  const std::string path = fmt::format("{}/{}", options_.folder, name);
  const std::string gone = fmt::format("{}/{}{}", options_.folder, random_uuid(), kDiscarded);
  // Out of the way at once: removing takes its time, and may be cut off.
  if (::rename(path.c_str(), gone.c_str()) != 0) {
    if (errno != ENOENT) log_warning("cannot remove {}: errno {}", path, errno);
    return;
  }
  std::error_code error;
  fs::remove_all(gone, error);
  if (error) log_warning("cannot remove {}: {}", gone, error.message());
}

bool PackageCache::is_whole(const std::string& hash) const {
  const std::string path = fmt::format("{}/{}", options_.folder, hash);
  std::ifstream file(path + "/size");
  ArchiveSize noted;
  if (!(file >> noted.entries >> noted.bytes)) return false;
  const Result<ArchiveSize> there = measure_folder(path + "/files");
  return there && *there == noted;
}

Result<void> PackageCache::unpack_anew(const std::string& hash, std::string_view content) const {
  const std::string name = random_uuid() + std::string(kTemporary);
  const std::string temporary = fmt::format("{}/{}", options_.folder, name);
  const auto fill = [&]() -> Result<void> {
    SEAM_RETURN_IF_ERROR(make_private(temporary));
    const std::string files = temporary + "/files";
    if (::mkdir(files.c_str(), 0755) != 0 || ::chmod(files.c_str(), 0755) != 0)
      return fail_errno("cannot make " + files, errno);
    SEAM_ASSIGN_OR_RETURN(const ArchiveSize size, unpack_archive(content, files, options_.limits));
    std::ofstream note(temporary + "/size");
    note << size.entries << ' ' << size.bytes << '\n';
    if (!note.flush()) return fail_errno("cannot write " + temporary + "/size", errno);
    // Whole on disk before it is whole by its name.
    const FileDescriptor folder(::open(files.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::syncfs(folder.get()) != 0) return fail_errno("cannot sync " + files, errno);
    return {};
  };
  Result<void> filled = fill();
  const std::string path = fmt::format("{}/{}", options_.folder, hash);
  if (filled) {
    discard(hash);  // what is not whole
    if (::rename(temporary.c_str(), path.c_str()) != 0)
      filled = fail_errno("cannot make " + path, errno);
  }
  if (!filled) discard(name);
  return filled;
}

}  // namespace seam::packages

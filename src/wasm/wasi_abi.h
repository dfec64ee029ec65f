#pragma once
// The numbers of WASI preview 1: error numbers, rights, flags and file types, as guests see them.
// For wasi*.cc and their tests.
//
//   return number(WasiErrno::kBadf);
//
// source    WASI snapshot preview 1, typenames.witx.

#include <cstdint>

namespace seam::wasm {

enum class WasiErrno : std::uint16_t {
  kSuccess = 0,
  k2big = 1,
  kAcces = 2,
  kAgain = 6,
  kBadf = 8,
  kBusy = 10,
  kDeadlk = 16,
  kDquot = 19,
  kExist = 20,
  kFault = 21,
  kFbig = 22,
  kIlseq = 25,
  kIntr = 27,
  kInval = 28,
  kIo = 29,
  kIsdir = 31,
  kLoop = 32,
  kMfile = 33,
  kMlink = 34,
  kNametoolong = 37,
  kNfile = 41,
  kNodev = 43,
  kNoent = 44,
  kNolck = 46,
  kNomem = 48,
  kNospc = 51,
  kNosys = 52,
  kNotdir = 54,
  kNotempty = 55,
  kNotsock = 57,
  kNotsup = 58,
  kNotty = 59,
  kNxio = 60,
  kOverflow = 61,
  kPerm = 63,
  kPipe = 64,
  kRange = 68,
  kRofs = 69,
  kSpipe = 70,
  kStale = 72,
  kTimedout = 73,
  kTxtbsy = 74,
  kXdev = 75,
  kNotcapable = 76,
};

// A number of the host's <errno.h> in the guest's; kIo for what has no counterpart.
[[nodiscard]] WasiErrno wasi_errno_of(int host_errno);

using WasiRights = std::uint64_t;

// What a descriptor may be used for.
namespace wasi_right {
enum : WasiRights {
  kFdDatasync = 1ULL << 0U,
  kFdRead = 1ULL << 1U,
  kFdSeek = 1ULL << 2U,
  kFdFdstatSetFlags = 1ULL << 3U,
  kFdSync = 1ULL << 4U,
  kFdTell = 1ULL << 5U,
  kFdWrite = 1ULL << 6U,
  kFdAdvise = 1ULL << 7U,
  kFdAllocate = 1ULL << 8U,
  kPathCreateDirectory = 1ULL << 9U,
  kPathCreateFile = 1ULL << 10U,
  kPathLinkSource = 1ULL << 11U,
  kPathLinkTarget = 1ULL << 12U,
  kPathOpen = 1ULL << 13U,
  kFdReaddir = 1ULL << 14U,
  kPathReadlink = 1ULL << 15U,
  kPathRenameSource = 1ULL << 16U,
  kPathRenameTarget = 1ULL << 17U,
  kPathFilestatGet = 1ULL << 18U,
  kPathFilestatSetSize = 1ULL << 19U,
  kPathFilestatSetTimes = 1ULL << 20U,
  kFdFilestatGet = 1ULL << 21U,
  kFdFilestatSetSize = 1ULL << 22U,
  kFdFilestatSetTimes = 1ULL << 23U,
  kPathSymlink = 1ULL << 24U,
  kPathRemoveDirectory = 1ULL << 25U,
  kPathUnlinkFile = 1ULL << 26U,
  kPollFdReadwrite = 1ULL << 27U,

  // What can be done with an open file, and with an open directory.
  kOfFiles = kFdDatasync | kFdRead | kFdSeek | kFdFdstatSetFlags | kFdSync | kFdTell | kFdWrite |
             kFdAdvise | kFdAllocate | kFdFilestatGet | kFdFilestatSetSize | kFdFilestatSetTimes |
             kPollFdReadwrite,
  kOfDirectories = kFdSync | kPathCreateDirectory | kPathCreateFile | kPathLinkSource |
                   kPathLinkTarget | kPathOpen | kFdReaddir | kPathReadlink | kPathRenameSource |
                   kPathRenameTarget | kPathFilestatGet | kPathFilestatSetSize |
                   kPathFilestatSetTimes | kFdFilestatGet | kFdFilestatSetTimes | kPathSymlink |
                   kPathRemoveDirectory | kPathUnlinkFile,
  // What changes something. A file that can be linked elsewhere could be changed there.
  kOfWriting = kFdDatasync | kFdWrite | kFdAllocate | kPathCreateDirectory | kPathCreateFile |
               kPathLinkSource | kPathLinkTarget | kPathRenameSource | kPathRenameTarget |
               kPathFilestatSetSize | kPathFilestatSetTimes | kFdFilestatSetSize |
               kFdFilestatSetTimes | kPathSymlink | kPathRemoveDirectory | kPathUnlinkFile,
};
}  // namespace wasi_right

enum class WasiFiletype : std::uint8_t {
  kUnknown = 0,
  kBlockDevice = 1,
  kCharacterDevice = 2,
  kDirectory = 3,
  kRegularFile = 4,
  kSocketStream = 6,
  kSymbolicLink = 7,
};

// fdflags
enum : std::uint32_t {
  kWasiAppend = 1U << 0U,
  kWasiDsync = 1U << 1U,
  kWasiNonblock = 1U << 2U,
  kWasiRsync = 1U << 3U,
  kWasiSync = 1U << 4U,
  kWasiFdflags = (1U << 5U) - 1,  // all of them
};

// oflags
enum : std::uint32_t {
  kWasiCreat = 1U << 0U,
  kWasiDirectory = 1U << 1U,
  kWasiExcl = 1U << 2U,
  kWasiTrunc = 1U << 3U,
  kWasiOflags = (1U << 4U) - 1,
};

// lookupflags
enum : std::uint32_t { kWasiSymlinkFollow = 1U << 0U };

// fstflags
enum : std::uint32_t {
  kWasiAtim = 1U << 0U,
  kWasiAtimNow = 1U << 1U,
  kWasiMtim = 1U << 2U,
  kWasiMtimNow = 1U << 3U,
  kWasiFstflags = (1U << 4U) - 1,
};

}  // namespace seam::wasm

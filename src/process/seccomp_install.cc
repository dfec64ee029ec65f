// How a worker comes to run its program and never another.
//
// The launcher has to install the filter before execve, since after it the program's own code runs;
// and the same filter must refuse execve to that code. A filter sees only numbers: the system call
// and its arguments, not what they point to. But the arguments of execve are themselves numbers:
// the addresses of the path, of argv and of the environment. The launcher maps three regions at
// random addresses, lays path, argv and environment there, each at a random place in its region,
// and installs a filter by which execve passes only if its three arguments are exactly those
// addresses:
//
//   execve(0x5c31_7f2a_9d48, 0x1e07_b2c4_4310, 0x6a90_03e5_71c8)   → allowed
//   execve(anything else)                                          → EPERM
//
// The execve that passes replaces the address space, and the kernel copies the strings, not the
// addresses, so the three numbers exist nowhere in the new program: not in its registers, its stack
// or /proc/self. Reading a filter back takes ptrace and CAP_SYS_ADMIN in the first user namespace.
// Each address holds 43 random bits or more, and all three must be right in one call: a wrong guess
// says nothing about which part was wrong. About 2^129 tries remain.
//
// Considered and left: a descriptor number for execveat (the program can dup2 anything to that
// number), a user notification (the spawner would have to answer each), a second filter installed
// by the harness (Node cannot call prctl, and each harness would have to be trusted to do it
// first). And if it failed, Landlock and the mounts still leave nothing to run but the programs of
// /usr, in the same sandbox.

#include "process/seccomp_install.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>

namespace seam::process {

namespace {

std::unexpected<SandboxFailure> failure(std::string what) {
  return std::unexpected(SandboxFailure{errno, std::move(what)});
}

SandboxResult install(std::span<const sock_filter> program) {
  const sock_fprog installed{static_cast<unsigned short>(program.size()),
                             const_cast<sock_filter*>(program.data())};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &installed) != 0) return failure("seccomp");
  return {};
}

// Allocates nothing: a worker may be at its memory limit already.
SandboxResult install(std::string_view filter) {
  // The string's bytes are as aligned as any allocation.
  return install(std::span(reinterpret_cast<const sock_filter*>(filter.data()),
                           filter.size() / sizeof(sock_filter)));
}

constexpr sock_filter kLoadNumber = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
constexpr sock_filter kAllow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
constexpr sock_filter kRefuse = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);

constexpr sock_filter load_half(std::size_t argument, std::size_t half) {
  return BPF_STMT(
      BPF_LD | BPF_W | BPF_ABS,
      static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * argument + 4 * half));
}

constexpr sock_filter jump_if_equal(std::uint32_t value, std::size_t then_skip,
                                    std::size_t else_skip) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, static_cast<unsigned char>(then_skip),
                  static_cast<unsigned char>(else_skip));
}

// The lower half of the user's addresses; of those, the ones that ThreadSanitizer leaves alone.
#if __has_feature(thread_sanitizer)
constexpr unsigned kAddressBits = 40;
#else
constexpr unsigned kAddressBits = 46;
#endif

// Anonymous memory at an address that nobody can guess, and in it a random place, a multiple of 8,
// with `size` bytes after it.
std::expected<char*, SandboxFailure> random_place(std::size_t size) {
  const std::size_t page = 4096;
  const std::size_t room = (size + page - 1) / page * page + page;
  for (int attempt = 0; attempt < 16; ++attempt) {
    std::array<std::uint64_t, 2> random{};
    if (::getrandom(random.data(), sizeof random, 0) != sizeof random) return failure("getrandom");
    const std::uint64_t mask = (1ULL << kAddressBits) - page;
    void* const wanted = reinterpret_cast<void*>((random[0] & mask) | (1ULL << 32U));
    void* const mapped = ::mmap(wanted, room, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (mapped == MAP_FAILED && errno == EEXIST) continue;
    if (mapped == MAP_FAILED) return failure("map the program's arguments");
    return static_cast<char*>(mapped) + (random[1] % (page / 8)) * 8;
  }
  errno = EEXIST;
  return failure("map the program's arguments");
}

// A null-terminated array of pointers with the strings behind it.
std::expected<char**, SandboxFailure> lay_out(const std::vector<std::string>& texts) {
  std::size_t size = (texts.size() + 1) * sizeof(char*);
  for (const std::string& text : texts) size += text.size() + 1;
  auto place = random_place(size);
  if (!place) return std::unexpected(std::move(place).error());
  char** const array = reinterpret_cast<char**>(*place);
  char* next = *place + (texts.size() + 1) * sizeof(char*);
  for (std::size_t index = 0; index < texts.size(); ++index) {
    array[index] = next;
    std::memcpy(next, texts[index].c_str(), texts[index].size() + 1);
    next += texts[index].size() + 1;
  }
  array[texts.size()] = nullptr;
  return array;
}

}  // namespace

SandboxResult install_filter(std::string_view filter) { return install(filter); }

SandboxResult forbid_exec_and_filter(std::string_view filter) {
  const std::array program{
      kLoadNumber, jump_if_equal(SYS_execve, 2, 0), jump_if_equal(SYS_execveat, 1, 0), kAllow,
      kRefuse,
  };
  if (SandboxResult done = install(program); !done) return done;
  return install(filter);
}

std::expected<ExecOnce, SandboxFailure> ExecOnce::prepare(
    const std::vector<std::string>& argv, const std::vector<std::string>& environment) {
  ExecOnce program;
  auto path = random_place(argv.front().size() + 1);
  if (!path) return std::unexpected(std::move(path).error());
  auto arguments = lay_out(argv);
  if (!arguments) return std::unexpected(std::move(arguments).error());
  auto variables = lay_out(environment);
  if (!variables) return std::unexpected(std::move(variables).error());
  std::memcpy(*path, argv.front().c_str(), argv.front().size() + 1);
  program.path_ = *path;
  program.argv_ = *arguments;
  program.environment_ = *variables;
  return program;
}

SandboxResult ExecOnce::filter(std::string_view allowed_calls) const {
  // Two comparisons an argument, each of which jumps to the refusal at the end when it differs.
  std::array<sock_filter, 17> program{
      kLoadNumber,
      jump_if_equal(SYS_execveat, 14, 0),
      jump_if_equal(SYS_execve, 0, 12),
  };
  const std::size_t refusal = program.size() - 1;
  std::size_t next = 3;
  const std::array<const void*, 3> arguments{path_, argv_, environment_};
  for (std::size_t argument = 0; argument < arguments.size(); ++argument) {
    const auto address = reinterpret_cast<std::uint64_t>(arguments[argument]);
    for (std::size_t half = 0; half < 2; ++half) {
      const auto expected = static_cast<std::uint32_t>(address >> (32 * half));
      program[next++] = load_half(argument, half);
      program[next] = jump_if_equal(expected, 0, refusal - next - 1);
      ++next;
    }
  }
  program[refusal - 1] = kAllow;
  program[refusal] = kRefuse;
  if (SandboxResult done = install(program); !done) return done;
  return install(allowed_calls);
}

int ExecOnce::run() const {
  ::syscall(SYS_execve, path_, argv_, environment_);
  return errno;
}

}  // namespace seam::process

// What is written on the own API of engines in other languages: wasmi/ as a library, wazero/ as a
// program that is spoken to by lines.
#include <dlfcn.h>
#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "subjects.h"

namespace seam::bench {
namespace {

struct WasmiLibrary {
  void* (*start)(bool interruptible) = nullptr;
  void* (*finish)(void* engine, const char* small, std::size_t small_size, const char* larger,
                  std::size_t larger_size) = nullptr;
  std::uint64_t (*run)(void* subject, std::uint32_t operation, std::uint64_t times) = nullptr;
  void (*keep)(void* subject, std::uint32_t count) = nullptr;
  void (*end)(void* subject) = nullptr;
};

class WasmiDirect final : public Subject {
 public:
  WasmiDirect(const WasmiLibrary& library, void* subject) : library_(library), subject_(subject) {}
  WasmiDirect(const WasmiDirect&) = delete;
  WasmiDirect& operator=(const WasmiDirect&) = delete;
  ~WasmiDirect() override { library_.end(subject_); }

  std::uint64_t run(Operation operation, std::uint64_t times) override {
    return library_.run(subject_, static_cast<std::uint32_t>(operation), times);
  }
  void keep_instances(std::uint32_t count) override { library_.keep(subject_, count); }

 private:
  WasmiLibrary library_;
  void* subject_;
};

class WasmiStarter final : public Starter {
 public:
  WasmiStarter(std::string file, bool interruptible)
      : file_(std::move(file)), interruptible_(interruptible) {}

  double start() override {
    const double begin = processor_ns();
    void* library = ::dlopen(file_.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(::dlerror());
    const auto find = [&](auto& function, const char* name) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
      if (function == nullptr) throw std::runtime_error(file_ + " lacks " + name);
    };
    find(library_.start, "direct_start");
    find(library_.finish, "direct_finish");
    find(library_.run, "direct_run");
    find(library_.keep, "direct_keep");
    find(library_.end, "direct_end");
    engine_ = library_.start(interruptible_);
    return processor_ns() - begin;
  }
  std::unique_ptr<Subject> finish(const Guests& guests) override {
    return std::make_unique<WasmiDirect>(
        library_, library_.finish(engine_, guests.small.data(), guests.small.size(),
                                  guests.larger.data(), guests.larger.size()));
  }

 private:
  std::string file_;
  bool interruptible_;
  WasmiLibrary library_;
  void* engine_ = nullptr;
};

// A child that answers each line with two numbers.
class Child {
 public:
  Child(const std::string& program, const std::string& mode, const std::string& small,
        const std::string& larger) {
    int to[2];
    int from[2];
    if (::pipe(to) != 0 || ::pipe(from) != 0) throw std::runtime_error("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(to[0], 0);
      ::dup2(from[1], 1);
      for (const int each : {to[0], to[1], from[0], from[1]}) ::close(each);
      ::execl(program.c_str(), program.c_str(), mode.c_str(), small.c_str(), larger.c_str(),
              nullptr);
      ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    to_ = ::fdopen(to[1], "w");
    from_ = ::fdopen(from[0], "r");
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::fclose(to_);  // it ends at the end of its input
    ::fclose(from_);
    ::waitpid(pid_, nullptr, 0);
  }

  Done ask(const std::string& line) {
    ::fputs((line + "\n").c_str(), to_);
    ::fflush(to_);
    Done done;
    unsigned long long sum = 0;
    if (::fscanf(from_, "%llu %lf", &sum, &done.ns) != 2)
      throw std::runtime_error("wazero_direct failed");
    done.sum = sum;
    return done;
  }

 private:
  pid_t pid_ = 0;
  FILE* to_ = nullptr;
  FILE* from_ = nullptr;
};

class WazeroDirect final : public Subject {
 public:
  explicit WazeroDirect(std::unique_ptr<Child> child) : child_(std::move(child)) {}

  std::uint64_t run(Operation operation, std::uint64_t times) override {
    return measure(operation, times).sum;
  }
  // wazero itself keeps compiled code in files of its own alone.
  bool does(Operation operation) const override { return operation != Operation::kLoad; }
  Done measure(Operation operation, std::uint64_t times) override {
    return child_->ask(fmt::format("run {} {}", static_cast<std::uint32_t>(operation), times));
  }
  void keep_instances(std::uint32_t count) override {
    (void)child_->ask(fmt::format("keep {}", count));
  }
  double own_bytes() override { return static_cast<double>(child_->ask("memory").sum); }

 private:
  std::unique_ptr<Child> child_;
};

class WazeroStarter final : public Starter {
 public:
  explicit WazeroStarter(const SubjectOptions& options) : options_(options) {
    char name[] = "/tmp/wasm_bench.XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
  }
  WazeroStarter(const WazeroStarter&) = delete;
  WazeroStarter& operator=(const WazeroStarter&) = delete;
  ~WazeroStarter() override { std::filesystem::remove_all(folder_); }

  double start() override {
    child_ = std::make_unique<Child>(options_.direct_folder + "/wazero_direct", options_.mode,
                                     small(), larger());
    return child_->ask("start").ns;
  }
  std::unique_ptr<Subject> finish(const Guests& guests) override {
    std::ofstream(small(), std::ios::binary) << guests.small;
    std::ofstream(larger(), std::ios::binary) << guests.larger;
    (void)child_->ask("finish");
    return std::make_unique<WazeroDirect>(std::move(child_));
  }

 private:
  std::string small() const { return folder_ + "/small.wasm"; }
  std::string larger() const { return folder_ + "/larger.wasm"; }

  SubjectOptions options_;
  std::string folder_;
  std::unique_ptr<Child> child_;
};

}  // namespace

std::unique_ptr<Starter> wasmi_direct(const SubjectOptions& options) {
  const std::string file = options.direct_folder + "/libwasmi_direct.so";
  if (!std::filesystem::exists(file)) return nullptr;
  return std::make_unique<WasmiStarter>(file, options.interruptible);
}

std::unique_ptr<Starter> wazero_direct(const SubjectOptions& options) {
  if (!std::filesystem::exists(options.direct_folder + "/wazero_direct")) return nullptr;
  return std::make_unique<WazeroStarter>(options);
}

}  // namespace seam::bench

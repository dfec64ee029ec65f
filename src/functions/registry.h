#pragma once
// Changes to the catalogue: put, delete, route. Each is written to the store first, then handed to
// every loop, and answered when all have it; calls in flight keep the implementation they began
// with.
//
//   SEAM_CO_ASSIGN_OR_RETURN(Written written, co_await registry.put(std::move(request)));
//   std::shared_ptr<const Catalogue> catalogue = registry.catalogue();     // the calling loop's
//   own

#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/per_loop.h"
#include "functions/catalogue.h"
#include "functions/names.h"
#include "packages/package_cache.h"
#include "runtimes/runtime.h"
#include "store/store.h"

namespace seam::functions {

using RuntimeTable = std::map<std::string, std::unique_ptr<runtimes::Runtime>, std::less<>>;

// What a `PUT` says. Names and options have been checked.
struct PutRequest {
  std::string language_title;
  std::string runtime;  // empty: by the runtime map
  std::string content;
  // Instead of a content that is an archive: its files, below the package cache's folder. Then the
  // store keeps the version without a content, so a later start cannot take it up.
  packages::FolderPtr folder;
  bool drop_others = false;  // earlier versions are let go of: no route leads back to them
  std::string description;
  std::string schema;    // JSON object, or empty
  std::string examples;  // JSON array, or empty
  std::vector<std::string> tags;
  ImplementationOptions options;
  std::string user_id;
};

struct Written {
  FunctionPtr function;
  bool created = false;  // there was none of this name
};

class Registry {
 public:
  // Borrows all until it is gone. Changes run on the first loop.
  Registry(store::Store& store, packages::PackageCache& packages, const RuntimeMap& names,
           const RuntimeTable& runtimes, CallMetrics& metrics, std::span<EventLoop* const> loops);

  // Takes in what the store holds. Before the loops take calls.
  // errors    kDataLoss   an options text that cannot be read; else the store's
  [[nodiscard]] Task<Result<void>> load(store::Snapshot snapshot);

  // The calling loop's catalogue; hold it for as long as what was found in it is used.
  [[nodiscard]] const std::shared_ptr<const Catalogue>& catalogue() const {
    return catalogues_.here();
  }

  [[nodiscard]] const RuntimeTable& runtimes() const { return runtimes_; }
  // Null where this build has no such runtime. Any thread.
  [[nodiscard]] runtimes::Runtime* runtime(std::string_view name) const;
  // As runtime(), with the error a client gets.
  // errors    kInvalidArgument   the message lists the runtimes there are
  [[nodiscard]] Result<runtimes::Runtime*> need_runtime(std::string_view name) const;

  // Any loop; resumes on it.
  // errors    kInvalidArgument   the runtime does not take the content (details say where); else
  // the store's
  [[nodiscard]] Task<Result<Written>> put(PutRequest request);
  // errors    kNotFound   no such function or version
  [[nodiscard]] Task<Result<FunctionPtr>> route_to_version(std::string language_title,
                                                           std::int64_t version);
  [[nodiscard]] Task<Result<void>> remove(std::string language_title);

  // The implementation with its content in memory.
  [[nodiscard]] Task<Result<ImplementationPtr>> loaded(FunctionPtr function,
                                                       ImplementationPtr implementation);

 private:
  Task<Result<Written>> put_at_home(PutRequest request);
  Task<Result<FunctionPtr>> route_at_home(std::string language_title, std::int64_t version);
  Task<Result<void>> remove_at_home(std::string language_title);
  Task<Result<ImplementationPtr>> load_at_home(FunctionPtr function,
                                               ImplementationPtr implementation);
  Task<> publish(std::shared_ptr<const Catalogue> next);
  [[nodiscard]] Result<std::shared_ptr<Implementation>> make_implementation(
      const store::FunctionRow& function, store::ImplementationRow row);
  // The program of a put: its folder's, or that of its content.
  [[nodiscard]] Task<Result<runtimes::ProgramPtr>> program_to_put(const PutRequest& request,
                                                                  std::string runtime);
  // Gives back what is kept warm for a function's programs but `kept`.
  void release_programs(const Function& function, const Implementation* kept) const;
  // The program of a content, which stays the caller's until this returns: an archive is unpacked.
  // Resumes on home_.
  // errors    kInvalidArgument   an archive that cannot be taken, or its runtime takes none
  [[nodiscard]] Task<Result<runtimes::ProgramPtr>> program_of(std::string language_title,
                                                              std::string runtime,
                                                              const std::string& content,
                                                              ImplementationOptions options);

  store::Store& store_;
  packages::PackageCache& packages_;
  const RuntimeMap& names_;
  const RuntimeTable& runtimes_;
  CallMetrics& metrics_;
  PerLoop<std::shared_ptr<const Catalogue>> catalogues_;
  EventLoop& home_;
  std::shared_ptr<const Catalogue> newest_;  // on home_
};

// A program of its own for a script or an implementation.
[[nodiscard]] runtimes::ProgramPtr make_program(std::string language_title, std::string content,
                                                const ImplementationOptions& options);

}  // namespace seam::functions

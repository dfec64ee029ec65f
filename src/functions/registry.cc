#include "functions/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/identifier.h"
#include "base/log.h"
#include "functions/function_examples.h"
#include "functions/options.h"

namespace seam::functions {
namespace {

std::unexpected<Error> no_function(std::string_view language_title) {
  return fail(ErrorCode::kNotFound, fmt::format("no function '{}'", language_title));
}

// `function` with one implementation more, or one replaced by itself with its content.
FunctionPtr with_implementation(const Function* before, const store::FunctionRow& row,
                                ImplementationPtr implementation) {
  auto function =
      before != nullptr ? std::make_shared<Function>(*before) : std::make_shared<Function>();
  if (row.version >= function->row.version) function->row = row;
  std::erase_if(function->implementations,
                [&](const ImplementationPtr& i) { return i->row.id == implementation->row.id; });
  function->implementations.push_back(std::move(implementation));
  std::ranges::sort(function->implementations, std::greater<>(),
                    [](const ImplementationPtr& i) { return i->row.version; });
  return function;
}

// A schema that an earlier version of Seam took, which did not read them, is kept but checks
// nothing.
FunctionSchema stored_schema(const store::FunctionRow& function,
                             const store::ImplementationRow& row) {
  Result<FunctionSchema> schema = FunctionSchema::compile(row.schema);
  if (schema) return *std::move(schema);
  log_warning("{} version {}: params are not checked, since its schema cannot be read: {}",
              function.language_title, row.version, schema.error().message);
  return {};
}

// What a `PUT` says of schema and examples, with the member named in an error.
Result<FunctionSchema> read_promises(const PutRequest& request) {
  Result<FunctionSchema> schema = FunctionSchema::compile(request.schema);
  if (!schema) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("\"schema\": {}", schema.error().message),
                schema.error().details);
  }
  if (const auto examples = parse_examples(request.examples, *schema); !examples) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("\"examples\": {}", examples.error().message),
                examples.error().details);
  }
  return schema;
}

}  // namespace

runtimes::ProgramPtr make_program(std::string language_title, std::string content,
                                  const ImplementationOptions& options) {
  auto program = std::make_shared<runtimes::Program>();
  program->id = random_uuid();
  program->language_title = std::move(language_title);
  program->hash = sha256_hex(content);
  program->content = std::move(content);
  program->entry = options.entry;
  program->environment = options.environment;
  program->limits = options.limits;
  program->wish = options.wish;
  return program;
}

Registry::Registry(store::Store& store, packages::PackageCache& packages, const RuntimeMap& names,
                   const RuntimeTable& runtimes, CallMetrics& metrics,
                   std::span<EventLoop* const> loops)
    : store_(store),
      packages_(packages),
      names_(names),
      runtimes_(runtimes),
      metrics_(metrics),
      catalogues_(loops),
      home_(*loops.front()),
      newest_(std::make_shared<const Catalogue>()) {
  for (std::size_t i = 0; i < catalogues_.size(); ++i) catalogues_.at(i) = newest_;
}

Result<std::shared_ptr<Implementation>> Registry::make_implementation(
    const store::FunctionRow& function, store::ImplementationRow row) {
  auto implementation = std::make_shared<Implementation>();
  Result<ImplementationOptions> options = parse_options(row.options, ImplementationOptions{});
  if (!options) {
    return fail(ErrorCode::kDataLoss,
                fmt::format("function {} version {}: its stored options cannot be read: {}",
                            function.language_title, row.version, options.error().message));
  }
  implementation->options = *std::move(options);
  implementation->options.wish.engine = row.engine;
  implementation->series = metrics_.of(function.language_title, row.runtime);
  implementation->row = std::move(row);
  return implementation;
}

Task<Result<runtimes::ProgramPtr>> Registry::program_to_put(const PutRequest& request,
                                                            std::string runtime) {
  if (!request.folder) {
    co_return co_await program_of(request.language_title, std::move(runtime), request.content,
                                  request.options);
  }
  SEAM_CO_ASSIGN_OR_RETURN(const runtimes::Runtime* takes, need_runtime(runtime));
  if (!takes->takes_folders()) {
    co_return fail(ErrorCode::kInvalidArgument,
                   fmt::format("the runtime {} takes no folders: give it one file", runtime));
  }
  auto program = std::make_shared<runtimes::Program>(
      *make_program(request.language_title, std::string(), request.options));
  program->hash = sha256_hex(*request.folder);  // each of its own, and none is shared
  program->folder = request.folder;
  co_return runtimes::ProgramPtr(std::move(program));
}

void Registry::release_programs(const Function& function, const Implementation* kept) const {
  for (const ImplementationPtr& implementation : function.implementations) {
    runtimes::Runtime* const of = runtime(implementation->row.runtime);
    if (implementation.get() != kept && of != nullptr && implementation->program)
      of->release(implementation->program->id);
  }
}

Task<Result<runtimes::ProgramPtr>> Registry::program_of(std::string language_title,
                                                        std::string runtime,
                                                        const std::string& content,
                                                        ImplementationOptions options) {
  if (!packages::is_archive(content))
    co_return make_program(std::move(language_title), content, options);
  SEAM_CO_ASSIGN_OR_RETURN(const runtimes::Runtime* takes, need_runtime(runtime));
  if (!takes->takes_folders()) {
    co_return fail(ErrorCode::kInvalidArgument,
                   fmt::format("the content is a .tar.gz, which the runtime {} does not take: send "
                               "the module itself",
                               runtime));
  }
  std::string hash = sha256_hex(content);
  Result<packages::FolderPtr> folder = co_await packages_.unpack(hash, content);
  co_await home_.schedule();
  if (!folder) co_return std::unexpected(std::move(folder).error());
  auto program = std::make_shared<runtimes::Program>(
      *make_program(std::move(language_title), std::string(), options));
  program->hash = std::move(hash);
  program->folder = *std::move(folder);
  co_return runtimes::ProgramPtr(std::move(program));
}

Task<Result<void>> Registry::load(store::Snapshot snapshot) {
  co_await home_.schedule();
  std::map<std::int64_t, std::shared_ptr<Function>> functions;
  for (store::FunctionRow& row : snapshot.functions) {
    auto function = std::make_shared<Function>();
    const std::int64_t id = row.id;
    function->row = std::move(row);
    functions.emplace(id, std::move(function));
  }
  std::vector<std::int64_t> routed;
  std::vector<std::string> hashes;
  for (store::RouteRow& row : snapshot.routes) {
    routed.push_back(row.implementation_id);
    const auto found = functions.find(row.function_id);
    if (found != functions.end() && row.weight > 0 && !row.shadow)
      found->second->routes.push_back(row);
  }
  for (store::ImplementationRow& row : snapshot.implementations) {
    const auto found = functions.find(row.function_id);
    if (found == functions.end()) continue;
    hashes.push_back(row.hash);
    SEAM_CO_ASSIGN_OR_RETURN(std::shared_ptr<Implementation> implementation,
                             make_implementation(found->second->row, std::move(row)));
    if (std::ranges::find(routed, implementation->row.id) != routed.end()) {
      SEAM_CO_ASSIGN_OR_RETURN(const std::string content,
                               co_await store_.load_content(implementation->row.id));
      Result<runtimes::ProgramPtr> program =
          co_await program_of(found->second->row.language_title, implementation->row.runtime,
                              content, implementation->options);
      // One that cannot be unpacked now (the disk is full, say) is tried again at its first call.
      if (program) {
        implementation->program = *std::move(program);
        implementation->schema = stored_schema(found->second->row, implementation->row);
      } else {
        log_warning("function {} version {} is not ready: {}", found->second->row.language_title,
                    implementation->row.version, program.error().message);
      }
    }
    found->second->implementations.push_back(std::move(implementation));
  }
  co_await packages_.keep_only(std::move(hashes));
  std::shared_ptr<const Catalogue> next = newest_;
  for (auto& [id, function] : functions) {
    std::ranges::sort(function->implementations, std::greater<>(),
                      [](const ImplementationPtr& i) { return i->row.version; });
    next = next->with(std::move(function));
  }
  co_await publish(std::move(next));
  co_return Result<void>();
}

Task<> Registry::publish(std::shared_ptr<const Catalogue> next) {
  newest_ = next;
  for (std::size_t i = 0; i < catalogues_.size(); ++i) {
    co_await catalogues_.loop(i).schedule();
    // Two changes may be on their way round at once; each loop takes what is newest in the order
    // they were made, since posts between two loops keep their order.
    catalogues_.at(i) = next;
  }
  co_await home_.schedule();
}

runtimes::Runtime* Registry::runtime(std::string_view name) const {
  const auto found = runtimes_.find(name);
  return found == runtimes_.end() ? nullptr : found->second.get();
}

Result<runtimes::Runtime*> Registry::need_runtime(std::string_view name) const {
  if (runtimes::Runtime* found = runtime(name)) return found;
  std::vector<std::string_view> there;
  for (const auto& [known, unused] : runtimes_) there.push_back(known);
  return fail(ErrorCode::kInvalidArgument, fmt::format("this server has no runtime '{}': it has {}",
                                                       name, fmt::join(there, ", ")));
}

Task<Result<Written>> Registry::put(PutRequest request) {
  EventLoop* caller = EventLoop::current();
  co_await home_.schedule();
  Result<Written> written = co_await put_at_home(std::move(request));
  co_await caller->schedule();
  co_return written;
}

Task<Result<Written>> Registry::put_at_home(PutRequest request) {
  SEAM_CO_ASSIGN_OR_RETURN(const ResolvedName name, names_.resolve(request.language_title));
  const std::string runtime_name = request.runtime.empty() ? name.runtime : request.runtime;
  SEAM_CO_ASSIGN_OR_RETURN(runtimes::Runtime * runtime, need_runtime(runtime_name));
  SEAM_CO_RETURN_IF_ERROR(runtime->check_wish(request.options.wish));
  SEAM_CO_ASSIGN_OR_RETURN(FunctionSchema schema, read_promises(request));
  SEAM_CO_ASSIGN_OR_RETURN(runtimes::ProgramPtr program,
                           co_await program_to_put(request, runtime_name));
  Result<void> prepared = co_await runtime->prepare(program);
  SEAM_CO_RETURN_IF_ERROR(std::move(prepared));

  store::NewVersion version;
  version.function.language = name.language;
  version.function.title = name.title;
  version.function.language_title = request.language_title;
  version.function.description = std::move(request.description);
  version.function.tags = std::move(request.tags);
  version.function.created_by = std::move(request.user_id);
  version.implementation.runtime = runtime_name;
  version.implementation.engine = request.options.wish.engine;
  version.implementation.hash = program->hash;
  version.implementation.schema = std::move(request.schema);
  version.implementation.examples = std::move(request.examples);
  version.implementation.options = format_options(request.options);
  version.content = std::move(request.content);
  SEAM_CO_ASSIGN_OR_RETURN(store::VersionWritten stored,
                           co_await store_.put_version(std::move(version)));
  co_await home_.schedule();

  auto implementation = std::make_shared<Implementation>();
  implementation->series = metrics_.of(request.language_title, runtime_name);
  implementation->row = std::move(stored.implementation);
  implementation->options = std::move(request.options);
  implementation->program = std::move(program);
  implementation->schema = std::move(schema);
  const FunctionPtr* before = newest_->find(request.language_title);
  const bool same = before != nullptr && (*before)->row.id == stored.function.id;
  const FunctionPtr added =
      with_implementation(same ? before->get() : nullptr, stored.function, implementation);
  auto function = std::make_shared<Function>(*added);
  function->routes = {{.function_id = stored.function.id,
                       .implementation_id = implementation->row.id,
                       .weight = 1,
                       .shadow = false}};
  if (request.drop_others) function->implementations = {implementation};
  co_await publish(newest_->with(function));
  if (request.drop_others) release_programs(*added, implementation.get());
  co_return Written{function, stored.created};
}

Task<Result<FunctionPtr>> Registry::route_to_version(std::string language_title,
                                                     std::int64_t version) {
  EventLoop* caller = EventLoop::current();
  co_await home_.schedule();
  Result<FunctionPtr> routed = co_await route_at_home(std::move(language_title), version);
  co_await caller->schedule();
  co_return routed;
}

Task<Result<FunctionPtr>> Registry::route_at_home(std::string language_title,
                                                  std::int64_t version) {
  const FunctionPtr* found = newest_->find(language_title);
  if (found == nullptr) co_return no_function(language_title);
  const FunctionPtr before = *found;
  const ImplementationPtr* wanted = before->by_version(version);
  if (wanted == nullptr) {
    co_return fail(ErrorCode::kNotFound, fmt::format("'{}' has no version {}: its newest is {}",
                                                     language_title, version, before->row.version));
  }
  // The content is in memory before a call can be routed to it.
  SEAM_CO_ASSIGN_OR_RETURN(const ImplementationPtr implementation,
                           co_await load_at_home(before, *wanted));
  std::vector<store::RouteRow> routes = {{.function_id = before->row.id,
                                          .implementation_id = implementation->row.id,
                                          .weight = 1,
                                          .shadow = false}};
  Result<void> stored = co_await store_.set_routes(before->row.id, routes);
  SEAM_CO_RETURN_IF_ERROR(std::move(stored));
  co_await home_.schedule();
  const FunctionPtr* current = newest_->find(language_title);
  if (current == nullptr || (*current)->row.id != before->row.id) {
    co_return fail(ErrorCode::kAborted, fmt::format("'{}' was deleted meanwhile", language_title));
  }
  auto function = std::make_shared<Function>(**current);
  function->routes = std::move(routes);
  co_await publish(newest_->with(function));
  co_return FunctionPtr(function);
}

Task<Result<void>> Registry::remove(std::string language_title) {
  EventLoop* caller = EventLoop::current();
  co_await home_.schedule();
  Result<void> removed = co_await remove_at_home(std::move(language_title));
  co_await caller->schedule();
  co_return removed;
}

Task<Result<void>> Registry::remove_at_home(std::string language_title) {
  const FunctionPtr* found = newest_->find(language_title);
  if (found == nullptr) co_return no_function(language_title);
  const FunctionPtr function = *found;
  Result<void> stored = co_await store_.delete_function(function->row.id);
  SEAM_CO_RETURN_IF_ERROR(std::move(stored));
  co_await home_.schedule();
  const FunctionPtr* current = newest_->find(language_title);
  if (current != nullptr && (*current)->row.id == function->row.id)
    co_await publish(newest_->without(language_title));
  release_programs(*function, nullptr);
  co_return Result<void>();
}

Task<Result<ImplementationPtr>> Registry::loaded(FunctionPtr function,
                                                 ImplementationPtr implementation) {
  if (implementation->program) co_return implementation;
  EventLoop* caller = EventLoop::current();
  co_await home_.schedule();
  Result<ImplementationPtr> full =
      co_await load_at_home(std::move(function), std::move(implementation));
  co_await caller->schedule();
  co_return full;
}

Task<Result<ImplementationPtr>> Registry::load_at_home(FunctionPtr function,
                                                       ImplementationPtr implementation) {
  if (implementation->program) co_return implementation;
  SEAM_CO_ASSIGN_OR_RETURN(const std::string content,
                           co_await store_.load_content(implementation->row.id));
  SEAM_CO_ASSIGN_OR_RETURN(std::shared_ptr<Implementation> full,
                           make_implementation(function->row, implementation->row));
  SEAM_CO_ASSIGN_OR_RETURN(
      full->program, co_await program_of(function->row.language_title, implementation->row.runtime,
                                         content, full->options));
  full->schema = stored_schema(function->row, full->row);
  co_await home_.schedule();
  const FunctionPtr* current = newest_->find(function->row.language_title);
  if (current == nullptr || (*current)->row.id != function->row.id) {
    co_return fail(ErrorCode::kAborted,
                   fmt::format("'{}' was deleted meanwhile", function->row.language_title));
  }
  // Another call may have loaded it while this one waited.
  const ImplementationPtr* there = (*current)->by_id(implementation->row.id);
  if (there != nullptr && (*there)->program) co_return *there;
  co_await publish(newest_->with(with_implementation(current->get(), (*current)->row, full)));
  co_return full;
}

}  // namespace seam::functions

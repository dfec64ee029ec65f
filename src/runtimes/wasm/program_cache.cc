#include "runtimes/wasm/program_cache.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace seam::runtimes {

ProgramCache::ProgramCache(wasm::Runtime& engine, ComputePool& compilers,
                           std::optional<wasm::ModuleCache> disk, std::size_t bytes_max)
    : engine_(engine), compilers_(compilers), disk_(std::move(disk)), bytes_max_(bytes_max) {
  wasm::add_wasi(host_);
}

std::shared_ptr<ProgramSlot> ProgramCache::slot(const Program& program) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<ProgramSlot>& slot = slots_[program.id];
  if (!slot) slot = std::make_shared<ProgramSlot>(program.limits);
  return slot;
}

void ProgramCache::release(const std::string& program_id) {
  const std::lock_guard lock(mutex_);
  slots_.erase(program_id);
}

std::shared_ptr<const GuestProgram> ProgramCache::at_hand(ProgramSlot& slot) {
  const std::lock_guard lock(slot.mutex);
  slot.last_used = uses_.fetch_add(1, std::memory_order_relaxed);
  return slot.guest;
}

Task<Result<std::shared_ptr<const GuestProgram>>> ProgramCache::compiled(
    std::shared_ptr<ProgramSlot> slot, ProgramPtr program, Deadline deadline,
    std::stop_token cancelled) {
  const auto wait = std::make_shared<Wait>(*EventLoop::current());
  std::shared_ptr<ProgramSlot::Compilation> compilation;
  bool first = false;
  {
    const std::lock_guard lock(slot->mutex);
    if (slot->guest) co_return slot->guest;
    first = !slot->compiling;
    if (first) slot->compiling = std::make_shared<ProgramSlot::Compilation>();
    compilation = slot->compiling;
    compilation->waiting.push_back(wait);
  }
  if (first) {
    compilers_.submit(
        [this, slot, compilation, program] { finish(*slot, *compilation, compile(*program)); });
  }
  switch (co_await Wait::until(wait, deadline, std::move(cancelled))) {
    case Wait::End::kDeadline:
      co_return fail(ErrorCode::kDeadlineExceeded, "its time was up while its module was compiled");
    case Wait::End::kCancelled:
      co_return fail(ErrorCode::kCancelled, "the caller is gone");
    case Wait::End::kReady:
      break;
  }
  const std::lock_guard lock(slot->mutex);
  co_return *compilation->outcome;
}

ProgramSlot::Compiled ProgramCache::compile(const Program& program) {
  std::unique_ptr<wasm::CompiledModule> module;
  const std::string key = engine_.engine_key();
  if (disk_) {
    if (const std::optional<std::string> code = disk_->find(key, program.hash)) {
      if (auto loaded = engine_.load(*code)) module = *std::move(loaded);
    }
  }
  if (!module) {
    auto compiled = engine_.compile(program.content);
    if (!compiled)
      return std::unexpected(Error{ErrorCode::kInvalidArgument, compiled.error().message, {}});
    module = *std::move(compiled);
    if (disk_) {
      const auto code = module->serialise();
      const Result<> kept = code ? disk_->keep(key, program.hash, *code) : Result<>();
      if (!kept) log_warning("compiled code is not kept: {}", kept.error().message);
    }
  }
  SEAM_ASSIGN_OR_RETURN(std::shared_ptr<const GuestProgram> guest,
                        GuestProgram::make(engine_, host_, std::move(module), program.entry));
  return guest;
}

void ProgramCache::finish(ProgramSlot& slot, ProgramSlot::Compilation& compilation,
                          ProgramSlot::Compiled outcome) {
  std::vector<std::shared_ptr<Wait>> waiting;
  {
    const std::lock_guard lock(slot.mutex);
    if (outcome) slot.guest = *outcome;
    slot.last_used = uses_.fetch_add(1, std::memory_order_relaxed);
    compilation.outcome = std::move(outcome);
    waiting = std::move(compilation.waiting);
    slot.compiling = nullptr;  // a failure is not kept: the next call tries again
  }
  trim();
  for (const std::shared_ptr<Wait>& wait : waiting) wait->end(Wait::End::kReady);
}

// Forgets what was unused for longest until the rest fits. Calls in flight keep theirs.
void ProgramCache::trim() {
  struct Kept {
    std::uint64_t last_used;
    std::size_t bytes;
    std::string id;
  };
  const std::lock_guard lock(mutex_);
  std::vector<Kept> kept;
  std::size_t total = 0;
  for (const auto& [id, slot] : slots_) {
    const std::lock_guard slot_lock(slot->mutex);
    if (!slot->guest) continue;
    kept.push_back({slot->last_used, slot->guest->code_bytes, id});
    total += kept.back().bytes;
  }
  std::ranges::sort(kept, {}, &Kept::last_used);
  for (std::size_t i = 0; i + 1 < kept.size() && total > bytes_max_;
       ++i) {  // the newest stays, however large
    const std::shared_ptr<ProgramSlot> slot = slots_[kept[i].id];
    {
      const std::lock_guard slot_lock(slot->mutex);
      slot->guest = nullptr;
    }
    total -= kept[i].bytes;
    if (slot.use_count() == 2 && slot->gate.idle()) slots_.erase(kept[i].id);  // ours and the map's
  }
}

std::size_t ProgramCache::waiting() {
  const std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const auto& [id, slot] : slots_) sum += slot->gate.waiting();
  return sum;
}

}  // namespace seam::runtimes

// The device's side: 32 SPEs, their scratchpads, the engine that copies, and the rules of all
// three.
//
// An SPE is a thread. What the card does at an unknown time is done here at the worst one: an
// asynchronous copy moves nothing before it is waited for, its destination is poisoned until then,
// and its source must still be what it was. A broken rule ends the kernel with a sentence.

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../include/sdaa_language.h"
#include "../include/sdaa_simulator.h"
#include "memory.h"

#undef malloc
#undef free
#undef memcpy

namespace sdaa_simulator {
namespace {

constexpr int kSpes = 32;
constexpr size_t kScratchpad = 240640;
constexpr size_t kGranule = 64;
constexpr size_t kRedZone = 256;  // bytes after a block that are checked for stores
constexpr size_t kLine = 64;      // device memory moves in lines
constexpr size_t kGlobalCopyScratch = 20 * 1024;
constexpr int kPoison = 0xff;  // NaN as a float, -1 as an integer
constexpr int kRedZonePattern = 0xa5;
constexpr size_t kKeptLaunches = 4096;

// A rule was broken; what() says which.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// Another SPE broke one.
struct Stopped {};

template <typename... Parts>
[[noreturn]] void broken(const char* call, const Parts&... parts) {
  std::ostringstream text;
  text << call << ": ";
  (text << ... << parts);
  throw Broken(text.str());
}

// What one SPE did in one launch.
struct Work {
  uint64_t read = 0;         // bytes from Global
  uint64_t written = 0;      // bytes to Global
  uint64_t lines_read = 0;   // whole lines that these bytes lie in
  uint64_t lines_written = 0;
  uint64_t sections = 0;
  uint64_t copies = 0;
  uint64_t blocking = 0;     // bytes of blocking copies from or to Global
  uint64_t misaligned = 0;   // of those, where source and destination differ modulo 4
  uint64_t local = 0;        // bytes inside the scratchpad
  uint64_t barriers = 0;
  uint64_t peak = 0;         // of the scratchpad
};

struct Launch {
  std::string kernel;
  int device;
  Work work[kSpes];
};

// [begin, end) of Global that an SPE read or wrote between two barriers.
struct Access {
  uintptr_t begin;
  uintptr_t end;
  bool write;
  int spe;
};

struct Section {
  size_t size;   // bytes in one run
  size_t gap;    // bytes left out between runs, on the Global side
  size_t total;  // bytes of all runs
};

struct Copy {
  char* dst;
  const char* src;
  Section section;
  bool to_global;
  const void* handle;
  std::vector<char> source;  // of a copy to Global: what it was asked to write
};

uint64_t lines_of(uintptr_t begin, size_t size) {
  return size == 0 ? 0 : (begin + size - 1) / kLine - begin / kLine + 1;
}

// 240,640 bytes, given out in granules, lowest or highest first. A block lies in memory at twice
// its offset, so that behind each is room to see a store past its end.
class Scratchpad {
 public:
  Scratchpad() : memory_(2 * kScratchpad + 2 * kGranule) {
    const auto at = reinterpret_cast<uintptr_t>(memory_.data());
    base_ = memory_.data() + (kGranule - at % kGranule) % kGranule;
  }

  void clear() {
    blocks_.clear();
    used_ = 0;
  }

  char* allocate(size_t size, bool from_high) {
    const size_t taken = (std::max<size_t>(size, 1) + kGranule - 1) / kGranule * kGranule;
    size_t at = kScratchpad;
    size_t begin = 0;
    const auto consider = [&](size_t end) {
      if (end - begin >= taken && (at == kScratchpad || from_high)) {
        at = from_high ? end - taken : begin;
      }
    };
    for (const auto& [offset, block] : blocks_) {
      consider(offset);
      begin = offset + block.taken;
    }
    consider(kScratchpad);
    if (at == kScratchpad) {
      return nullptr;
    }
    blocks_[at] = {size, taken};
    used_ += taken;
    char* pointer = base_ + 2 * at;
    std::memset(pointer, kPoison, size);
    std::memset(pointer + size, kRedZonePattern, red_zone(blocks_[at]));
    return pointer;
  }

  void release(const char* pointer) {
    const auto block = find(pointer);
    if (block == blocks_.end() || pointer != base_ + 2 * block->first) {
      broken("free", "the pointer is none that malloc gave, or it was freed before");
    }
    const auto freed = *block;
    used_ -= block->second.taken;
    blocks_.erase(block);
    check(freed);
  }

  void check_all() const {
    for (const auto& block : blocks_) {
      check(block);
    }
  }

  bool holds(const char* pointer) const {
    return pointer >= base_ && pointer < base_ + 2 * kScratchpad;
  }

  // Bytes from the pointer to the end of its block, 0 if it lies in none.
  size_t room(const char* pointer) const {
    const auto block = find(pointer);
    if (block == blocks_.end()) {
      return 0;
    }
    const size_t offset = pointer - (base_ + 2 * block->first);
    return offset > block->second.size ? 0 : block->second.size - offset;
  }

  size_t used() const { return used_; }
  bool empty() const { return blocks_.empty(); }

 private:
  struct Block {
    size_t size;
    size_t taken;
  };
  using Blocks = std::map<size_t, Block>;

  static size_t red_zone(const Block& block) {
    return std::min(2 * block.taken - block.size, kRedZone);
  }

  Blocks::const_iterator find(const char* pointer) const {
    if (!holds(pointer)) {
      return blocks_.end();
    }
    auto block = blocks_.upper_bound((pointer - base_) / 2);
    return block == blocks_.begin() ? blocks_.end() : std::prev(block);
  }

  void check(const Blocks::value_type& block) const {
    const char* end = base_ + 2 * block.first + block.second.size;
    const size_t size = red_zone(block.second);
    for (size_t i = 0; i < size; ++i) {
      if (end[i] != static_cast<char>(kRedZonePattern)) {
        broken(
            "scratchpad", "a store went past the end of a block of ", block.second.size,
            " bytes, at its byte ", block.second.size + i);
      }
    }
  }

  std::vector<char> memory_;
  char* base_;
  Blocks blocks_;
  size_t used_ = 0;
};

class Device;

struct Spe {
  int index = 0;
  Scratchpad scratchpad;
  std::deque<Copy> pending;
  std::vector<Access> accesses;
  Work work;
  std::string failure;  // of a call that may not throw
};

thread_local Spe* this_one = nullptr;

Spe& self(const char* call) {
  if (this_one == nullptr) {
    std::fprintf(stderr, "SDAA simulator: %s was called outside of a kernel\n", call);
    std::abort();
  }
  return *this_one;
}

class Device {
 public:
  Device() {
    for (int i = 0; i < kSpes; ++i) {
      spes_[i].index = i;
      std::thread([this, i] { live(spes_[i]); }).detach();
    }
  }

  void run(const char* kernel, int device, const std::function<void()>& body) {
    const std::lock_guard<std::mutex> one_at_a_time(launch_mutex_);
    std::unique_lock<std::mutex> lock(mutex_);
    device_ = device;
    body_ = &body;
    waiting_ = 0;
    running_ = kSpes;
    sentence_.clear();
    ++launch_;
    wake_.notify_all();
    done_.wait(lock, [this] { return running_ == 0; });
    if (sentence_.empty()) {
      check_races();
    }
    lock.unlock();

    Launch launch{kernel, device, {}};
    for (int i = 0; i < kSpes; ++i) {
      launch.work[i] = spes_[i].work;
    }
    {
      const std::lock_guard<std::mutex> meter_lock(meter_mutex_);
      launches_.push_back(launch);
      if (launches_.size() > kKeptLaunches) {
        launches_.pop_front();
      }
    }
    if (!sentence_.empty()) {
      const std::string sentence = std::string("SDAA simulator: ") + kernel + ": " + sentence_;
      report(sentence.c_str());
      if (throws()) {
        throw std::runtime_error(sentence);
      }
    }
  }

  // All SPEs, or the kernel fails.
  void synchronize(Spe& spe) {
    std::unique_lock<std::mutex> lock(mutex_);
    ++spe.work.barriers;
    if (!sentence_.empty()) {
      throw Stopped{};
    }
    ++waiting_;
    if (waiting_ == running_ && running_ < kSpes) {
      fail_barrier();
    }
    if (waiting_ == kSpes) {
      check_races();
      waiting_ = 0;
      ++epoch_;
      barrier_.notify_all();
    } else {
      const uint64_t epoch = epoch_;
      barrier_.wait(lock, [&] { return epoch_ != epoch || !sentence_.empty(); });
    }
    if (!sentence_.empty()) {
      throw Stopped{};
    }
  }

  int device() const { return device_; }

  std::string meter() {
    const std::lock_guard<std::mutex> lock(meter_mutex_);
    std::ostringstream json;
    json << '[';
    for (size_t i = 0; i < launches_.size(); ++i) {
      const Launch& launch = launches_[i];
      json << (i == 0 ? "" : ",") << "{\"kernel\":\"" << launch.kernel << "\",\"device\":"
           << launch.device;
      const auto row = [&](const char* name, uint64_t Work::*field) {
        json << ",\"" << name << "\":[";
        for (int s = 0; s < kSpes; ++s) {
          json << (s == 0 ? "" : ",") << launch.work[s].*field;
        }
        json << ']';
      };
      row("read", &Work::read);
      row("written", &Work::written);
      row("lines_read", &Work::lines_read);
      row("lines_written", &Work::lines_written);
      row("sections", &Work::sections);
      row("copies", &Work::copies);
      row("blocking", &Work::blocking);
      row("misaligned", &Work::misaligned);
      row("local", &Work::local);
      row("barriers", &Work::barriers);
      row("peak_scratchpad", &Work::peak);
      json << '}';
    }
    json << ']';
    launches_.clear();
    return json.str();
  }

 private:
  [[noreturn]] void live(Spe& spe) {
    this_one = &spe;
    uint64_t seen = 0;
    while (true) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return launch_ != seen; });
        seen = launch_;
      }
      spe.scratchpad.clear();
      spe.pending.clear();
      spe.accesses.clear();
      spe.work = Work{};
      spe.failure.clear();
      try {
        (*body_)();
        if (!spe.failure.empty()) {
          throw Broken(spe.failure);
        }
        finish(spe);
      } catch (const Broken& rule) {
        fail(spe, rule.what());
      } catch (const Stopped&) {
      } catch (const std::exception& error) {
        fail(spe, error.what());
      }
      const std::lock_guard<std::mutex> lock(mutex_);
      --running_;
      if (waiting_ > 0 && waiting_ == running_) {
        fail_barrier();
      }
      if (running_ == 0) {
        done_.notify_all();
      }
    }
  }

  void finish(Spe& spe) {
    if (!spe.pending.empty()) {
      broken(
          "kernel", spe.pending.size(),
          " asynchronous copies were not waited for; nothing says when they are done");
    }
    spe.scratchpad.check_all();
    if (!spe.scratchpad.empty()) {
      broken("kernel", spe.scratchpad.used(), " bytes of scratchpad were not freed");
    }
  }

  void fail(const Spe& spe, const std::string& sentence) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (sentence_.empty()) {
      sentence_ = "SPE " + std::to_string(spe.index) + ": " + sentence;
    }
    barrier_.notify_all();
  }

  // The mutex is held.
  void fail_barrier() {
    if (sentence_.empty()) {
      sentence_ = "sync_threads: " + std::to_string(waiting_) + " SPEs wait, and " +
          std::to_string(kSpes - running_) + " have ended the kernel without it";
    }
    barrier_.notify_all();
  }

  // Between two barriers nothing orders the SPEs, so none may write what another touches. The mutex
  // is held.
  void check_races() {
    std::vector<Access> all;
    for (Spe& spe : spes_) {
      all.insert(all.end(), spe.accesses.begin(), spe.accesses.end());
      spe.accesses.clear();
    }
    std::sort(all.begin(), all.end(), [](const Access& a, const Access& b) {
      return a.begin < b.begin;
    });
    // The farthest end so far of a write, and of any access, each with the farthest of another SPE.
    struct Reach {
      uintptr_t end[2] = {0, 0};
      int spe[2] = {-1, -1};

      uintptr_t of_others(int one) const { return spe[0] == one ? end[1] : end[0]; }
      void add(uintptr_t reached, int one) {
        if (one == spe[0] || reached > end[0]) {
          if (one != spe[0]) {
            end[1] = end[0];
            spe[1] = spe[0];
            spe[0] = one;
          }
          end[0] = std::max(end[0], reached);
        } else if (reached > end[1]) {
          end[1] = reached;
          spe[1] = one;
        }
      }
    };
    Reach writes;
    Reach any;
    for (const Access& access : all) {
      const Reach& reach = access.write ? any : writes;
      const uintptr_t conflict = reach.of_others(access.spe);
      if (access.begin < conflict && sentence_.empty()) {
        sentence_ = "SPE " + std::to_string(access.spe) + (access.write ? " writes" : " reads") +
            " Global memory that another SPE " + (access.write ? "touches" : "writes") +
            ", and no sync_threads lies between";
        barrier_.notify_all();
        return;
      }
      any.add(access.end, access.spe);
      if (access.write) {
        writes.add(access.end, access.spe);
      }
    }
  }

  std::mutex launch_mutex_;
  std::mutex meter_mutex_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::condition_variable barrier_;
  Spe spes_[kSpes];
  const std::function<void()>* body_ = nullptr;
  int device_ = 0;
  int running_ = 0;
  int waiting_ = 0;
  uint64_t launch_ = 0;
  uint64_t epoch_ = 0;
  std::string sentence_;
  std::deque<Launch> launches_;
};

// Threads do not survive a fork, so the child starts its own. Never destroyed: they run to the end.
Device& device() {
  static std::mutex mutex;
  static Device* one = nullptr;
  static pid_t owner = 0;
  const std::lock_guard<std::mutex> lock(mutex);
  if (owner != getpid()) {
    one = new Device;
    owner = getpid();
  }
  return *one;
}

// The Device of the running kernel, without a lock.
Device* running_device = nullptr;

enum class Side { kGlobal, kScratchpad };

// Which memory the address lies in, and how many bytes follow it there.
Side side_of(
    const char* call, const char* name, const Spe& spe, const void* pointer, size_t* room) {
  if (spe.scratchpad.holds(static_cast<const char*>(pointer))) {
    *room = spe.scratchpad.room(static_cast<const char*>(pointer));
    return Side::kScratchpad;
  }
  Allocation found{};
  if (!find_allocation(pointer, &found)) {
    broken(
        call, name, " lies neither in allocated device memory nor in this SPE's scratchpad");
  }
  if (found.device != running_device->device()) {
    broken(
        call, name, " is memory of device ", found.device, ", and the kernel runs on device ",
        running_device->device());
  }
  *room = found.begin + found.size - reinterpret_cast<uintptr_t>(pointer);
  return Side::kGlobal;
}

// Bytes from the first to the last, gaps included.
size_t extent(const Section& section) {
  if (section.total == 0) {
    return 0;
  }
  const size_t runs = (section.total + section.size - 1) / section.size;
  return section.total + (runs - 1) * section.gap;
}

template <typename Body>
void for_each_run(const Section& section, Body body) {
  size_t packed = 0;
  size_t spread = 0;
  while (packed < section.total) {
    const size_t size = std::min(section.size, section.total - packed);
    body(packed, spread, size);
    packed += size;
    spread += size + section.gap;
  }
}

// Notes what a copy touches of Global for check_races.
void note(Spe& spe, const void* global, const Section& section, bool write) {
  const auto at = reinterpret_cast<uintptr_t>(global);
  for_each_run(section, [&](size_t, size_t spread, size_t size) {
    const uintptr_t begin = at + spread;
    if (!spe.accesses.empty()) {
      Access& last = spe.accesses.back();
      if (last.write == write && last.end == begin) {
        last.end = begin + size;
        return;
      }
    }
    spe.accesses.push_back({begin, begin + size, write, spe.index});
  });
}

void count(Spe& spe, const void* global, const Section& section, bool write) {
  Work& work = spe.work;
  ++work.copies;
  (write ? work.written : work.read) += section.total;
  const auto at = reinterpret_cast<uintptr_t>(global);
  for_each_run(section, [&](size_t, size_t spread, size_t size) {
    ++work.sections;
    (write ? work.lines_written : work.lines_read) += lines_of(at + spread, size);
  });
}

void move(const Copy& copy) {
  if (copy.to_global) {
    char* global = static_cast<char*>(engine_address(copy.dst));
    for_each_run(copy.section, [&](size_t packed, size_t spread, size_t size) {
      std::memcpy(global + spread, copy.src + packed, size);
    });
  } else {
    const char* global = static_cast<const char*>(engine_address(copy.src));
    for_each_run(copy.section, [&](size_t packed, size_t spread, size_t size) {
      std::memcpy(copy.dst + packed, global + spread, size);
    });
  }
}

bool overlap(const char* a, size_t a_size, const char* b, size_t b_size) {
  return a < b + b_size && b < a + a_size;
}

// Breaks off if [local, local + size) is in use by a copy that was not waited for. Two may read it.
void check_idle(const char* call, const Spe& spe, const char* local, size_t size, bool reads) {
  for (const Copy& copy : spe.pending) {
    const char* other = copy.to_global ? copy.src : copy.dst;
    if (overlap(local, size, other, copy.section.total) && !(reads && copy.to_global)) {
      broken(call, "the scratchpad there is in use by an asynchronous copy not yet waited for");
    }
  }
}

void check_room(const char* call, const char* name, Side side, size_t room, size_t wanted) {
  if (wanted > room) {
    broken(
        call, name, " has room for ", room, " bytes in its ",
        side == Side::kGlobal ? "allocation" : "block of scratchpad", ", not for ", wanted);
  }
}

// The arguments of a copy between Global and the scratchpad, checked. `strict`: 4-byte rules.
Copy checked(
    const char* call, Spe& spe, void* dst, const void* src, size_t size, size_t section_1d,
    sdaa::MemoryStride stride, bool strict) {
  size_t dst_room = 0;
  size_t src_room = 0;
  const Side dst_side = side_of(call, "dst", spe, dst, &dst_room);
  const Side src_side = side_of(call, "src", spe, src, &src_room);
  if (dst_side == src_side) {
    broken(call, "one side has to lie in Global, the other in the scratchpad");
  }
  const bool to_global = dst_side == Side::kGlobal;
  if ((to_global ? stride.src_stride : stride.dst_stride) != 0) {
    broken(call, "the scratchpad's side is packed; its stride has to be 0");
  }
  const size_t gap = to_global ? stride.dst_stride : stride.src_stride;
  const Section section{gap == 0 ? std::max<size_t>(size, 1) : section_1d, gap, size};
  if (section.size == 0) {
    broken(call, "section_1d is 0");
  }
  if (strict) {
    if (size % 4 != 0 || (gap != 0 && section.size % 4 != 0) || gap % 4 != 0) {
      broken(
          call, "size ", size, ", section ", section.size, " and stride ", gap,
          " have to be multiples of 4 bytes");
    }
    if (reinterpret_cast<uintptr_t>(dst) % 4 != 0 || reinterpret_cast<uintptr_t>(src) % 4 != 0) {
      broken(call, "both addresses have to be aligned to 4 bytes");
    }
  }
  if (gap != 0 && size % section.size != 0) {
    broken(call, "size ", size, " is not a multiple of section ", section.size);
  }
  check_room(call, "dst", dst_side, dst_room, to_global ? extent(section) : size);
  check_room(call, "src", src_side, src_room, to_global ? size : extent(section));
  return {static_cast<char*>(dst), static_cast<const char*>(src), section, to_global, nullptr, {}};
}

void run_now(const char* call, Spe& spe, const Copy& copy) {
  const char* local = copy.to_global ? copy.src : copy.dst;
  check_idle(call, spe, local, copy.section.total, copy.to_global);
  const void* global = copy.to_global ? copy.dst : copy.src;
  count(spe, global, copy.section, copy.to_global);
  note(spe, global, copy.section, copy.to_global);
  spe.work.blocking += copy.section.total;
  if ((reinterpret_cast<uintptr_t>(copy.dst) - reinterpret_cast<uintptr_t>(copy.src)) % 4 != 0) {
    spe.work.misaligned += copy.section.total;
  }
  move(copy);
}

void wait_for(Spe& spe, const void* handle) {
  const char* call = "memcpy_wait";
  for (auto copy = spe.pending.begin(); copy != spe.pending.end();) {
    if (copy->handle != handle) {
      ++copy;
      continue;
    }
    const size_t size = copy->section.total;
    if (copy->to_global) {
      if (std::memcmp(copy->src, copy->source.data(), size) != 0) {
        broken(call, "the source of a copy to Global was written before the copy was waited for");
      }
      note(spe, copy->dst, copy->section, true);
    } else {
      for (size_t i = 0; i < size; ++i) {
        if (copy->dst[i] != static_cast<char>(kPoison)) {
          broken(call, "the destination of a copy was written before the copy was waited for");
        }
      }
      note(spe, copy->src, copy->section, false);
    }
    move(*copy);
    copy = spe.pending.erase(copy);
  }
}

void start(
    Spe& spe, void* dst, const void* src, size_t size, size_t section_1d,
    sdaa::MemoryStride stride, sdaa::MemcpyDirect direct, const void* handle) {
  const char* call = "memcpy_async";
  if (size == 0) {
    return;
  }
  Copy copy = checked(call, spe, dst, src, size, section_1d, stride, true);
  if (copy.to_global != (direct == sdaa::MemcpySpmToGlobal)) {
    broken(call, "the direction is not that of the addresses");
  }
  copy.handle = handle;
  const char* local = copy.to_global ? copy.src : copy.dst;
  check_idle(call, spe, local, size, copy.to_global);
  const void* global = copy.to_global ? copy.dst : copy.src;
  count(spe, global, copy.section, copy.to_global);
  note(spe, global, copy.section, copy.to_global);
  if (copy.to_global) {
    copy.source.assign(copy.src, copy.src + size);
  } else {
    std::memset(copy.dst, kPoison, size);
  }
  spe.pending.push_back(std::move(copy));
}

// What `body` throws as a bit mask: 0 if it throws nothing.
template <typename Body>
unsigned mask_of(Body body) {
  try {
    body();
    return 0;
  } catch (const Broken&) {
    return 3;
  }
}

}  // namespace

unsigned long this_spe() {
  return static_cast<unsigned long>(self("threadIdx").index);
}

void refuse(const char* call, const char* sentence) {
  self(call);
  broken(call, sentence);
}

void* scratchpad_malloc(size_t size, bool from_high) {
  Spe& spe = self("malloc");
  void* pointer = spe.scratchpad.allocate(size, from_high);
  spe.work.peak = std::max<uint64_t>(spe.work.peak, spe.scratchpad.used());
  return pointer;
}

void scratchpad_free(void* pointer) {
  Spe& spe = self("free");
  if (pointer == nullptr) {
    return;
  }
  // Destructors free, also while a broken rule is on its way out: keep the sentence for later.
  try {
    const char* block = static_cast<const char*>(pointer);
    check_idle("free", spe, block, std::max<size_t>(1, spe.scratchpad.room(block)), false);
    spe.scratchpad.release(block);
  } catch (const Broken& rule) {
    if (spe.failure.empty()) {
      spe.failure = rule.what();
    }
  }
}

void launch(const char* kernel, const void* stream, const std::function<void()>& body) {
  int stream_device = 0;
  std::string sentence;
  if (stream == nullptr) {
    sentence = "launched on the null stream, which is ordered with no other";
  } else if (!find_stream(stream, &stream_device)) {
    sentence = "launched on a stream that does not exist";
  } else if (stream_device != current_device()) {
    sentence = "launched on a stream of device " + std::to_string(stream_device) +
        " while device " + std::to_string(current_device()) + " is current";
  }
  if (!sentence.empty()) {
    sentence = std::string("SDAA simulator: ") + kernel + ": " + sentence;
    report(sentence.c_str());
    if (throws()) {
      throw std::runtime_error(sentence);
    }
    return;
  }
  running_device = &device();
  running_device->run(kernel, stream_device, body);
}

}  // namespace sdaa_simulator

namespace sdaa {

using namespace sdaa_simulator;

void* simulated_memcpy(void* dst, const void* src, size_t size) {
  const char* call = "memcpy";
  Spe& spe = self(call);
  if (size == 0) {
    return dst;
  }
  size_t dst_room = 0;
  size_t src_room = 0;
  const Side dst_side = side_of(call, "dst", spe, dst, &dst_room);
  const Side src_side = side_of(call, "src", spe, src, &src_room);
  if (dst_side != src_side) {
    run_now(call, spe, checked(call, spe, dst, src, size, 0, {0, 0}, false));
    return dst;
  }
  check_room(call, "dst", dst_side, dst_room, size);
  check_room(call, "src", src_side, src_room, size);
  if (overlap(static_cast<char*>(dst), size, static_cast<const char*>(src), size)) {
    broken(call, "source and destination overlap");
  }
  if (dst_side == Side::kScratchpad) {
    check_idle(call, spe, static_cast<char*>(dst), size, false);
    check_idle(call, spe, static_cast<const char*>(src), size, true);
    spe.work.local += size;
    std::memcpy(dst, src, size);
    return dst;
  }
  // By way of the scratchpad.
  char* between = static_cast<char*>(scratchpad_malloc(kGlobalCopyScratch, false));
  if (between == nullptr) {
    broken(call, "a copy inside Global needs 20 KB of scratchpad, which are not free");
  }
  for (size_t done = 0; done < size; done += kGlobalCopyScratch) {
    const size_t part = std::min(kGlobalCopyScratch, size - done);
    simulated_memcpy(between, static_cast<const char*>(src) + done, part);
    simulated_memcpy(static_cast<char*>(dst) + done, between, part);
  }
  scratchpad_free(between);
  return dst;
}

void* memcpy_stride(
    void* dst, const void* src, size_t size, size_t section_1d, MemoryStride stride_1d) {
  const char* call = "memcpy_stride";
  Spe& spe = self(call);
  if (size != 0) {
    run_now(call, spe, checked(call, spe, dst, src, size, section_1d, stride_1d, true));
  }
  return dst;
}

void* memcpy_async(
    void* dst, const void* src, size_t size, size_t section_1d, MemoryStride stride_1d,
    MemcpyDirect direct) {
  start(self("memcpy_async"), dst, src, size, section_1d, stride_1d, direct, nullptr);
  return dst;
}

void* memcpy_async(
    void* dst, const void* src, size_t size, size_t section_1d, MemoryStride stride_1d,
    MemcpyDirect direct, MemcpyHandle& handle) {
  start(self("memcpy_async"), dst, src, size, section_1d, stride_1d, direct, &handle);
  return dst;
}

void memcpy_wait() {
  wait_for(self("memcpy_wait"), nullptr);
}

// What a card does with a handle that nothing was started with is not known.
void memcpy_wait(MemcpyHandle& handle) {
  const char* call = "memcpy_wait";
  Spe& spe = self(call);
  const auto belongs = [&](const Copy& copy) { return copy.handle == &handle; };
  if (std::none_of(spe.pending.begin(), spe.pending.end(), belongs)) {
    broken(call, "no copy was started with this handle since it was last waited for");
  }
  wait_for(spe, &handle);
}

unsigned check_memcpy(const void* dst, const void* src, size_t size) {
  Spe& spe = self("check_memcpy");
  return mask_of([&] {
    size_t dst_room = 0;
    size_t src_room = 0;
    const Side dst_side = side_of("", "dst", spe, dst, &dst_room);
    const Side src_side = side_of("", "src", spe, src, &src_room);
    check_room("", "dst", dst_side, dst_room, size);
    check_room("", "src", src_side, src_room, size);
    if (overlap(static_cast<const char*>(dst), size, static_cast<const char*>(src), size)) {
      broken("", "");
    }
  });
}

unsigned check_memcpy_stride(
    const void* dst, const void* src, size_t size, size_t section_1d, MemoryStride stride_1d) {
  Spe& spe = self("check_memcpy_stride");
  return mask_of(
      [&] { checked("", spe, const_cast<void*>(dst), src, size, section_1d, stride_1d, true); });
}

unsigned check_memcpy_async(
    const void* dst, const void* src, size_t size, size_t section_1d, MemoryStride stride_1d,
    MemcpyDirect direct) {
  Spe& spe = self("check_memcpy_async");
  return mask_of([&] {
    const Copy copy =
        checked("", spe, const_cast<void*>(dst), src, size, section_1d, stride_1d, true);
    if (copy.to_global != (direct == MemcpySpmToGlobal)) {
      broken("", "");
    }
  });
}

void sync_threads() {
  running_device->synchronize(self("sync_threads"));
}

void transpose(
    void* dst, const void* src, unsigned height, unsigned width, size_t element_size) {
  const char* call = "transpose";
  Spe& spe = self(call);
  if (element_size != 2 && element_size != 4) {
    broken(call, "elements have 2 or 4 bytes, not ", element_size);
  }
  if (reinterpret_cast<uintptr_t>(dst) % element_size != 0 ||
      reinterpret_cast<uintptr_t>(src) % element_size != 0) {
    broken(call, "both addresses have to be aligned to the element");
  }
  const size_t size = size_t{height} * width * element_size;
  if (size == 0) {
    return;
  }
  size_t dst_room = 0;
  size_t src_room = 0;
  const Side dst_side = side_of(call, "dst", spe, dst, &dst_room);
  const Side src_side = side_of(call, "src", spe, src, &src_room);
  if (dst_side != Side::kScratchpad || src_side != Side::kScratchpad) {
    broken(call, "only inside the scratchpad here; from Global it is not simulated");
  }
  check_room(call, "dst", dst_side, dst_room, size);
  check_room(call, "src", src_side, src_room, size);
  if (overlap(static_cast<char*>(dst), size, static_cast<const char*>(src), size)) {
    broken(call, "source and destination overlap");
  }
  check_idle(call, spe, static_cast<char*>(dst), size, false);
  check_idle(call, spe, static_cast<const char*>(src), size, true);
  // The library function takes a tile of scratchpad for itself.
  void* tile = scratchpad_malloc(element_size == 2 ? 2048 : 1024, false);
  if (tile == nullptr) {
    broken(call, "it needs 1 KB of scratchpad (2 KB for elements of 2 bytes), which are not free");
  }
  spe.work.local += size;
  const auto turn = [&](auto* to, const auto* from) {
    for (size_t y = 0; y < height; ++y) {
      for (size_t x = 0; x < width; ++x) {
        to[x * height + y] = from[y * width + x];
      }
    }
  };
  if (element_size == 2) {
    turn(static_cast<uint16_t*>(dst), static_cast<const uint16_t*>(src));
  } else {
    turn(static_cast<uint32_t*>(dst), static_cast<const uint32_t*>(src));
  }
  scratchpad_free(tile);
}

}  // namespace sdaa

// A JSON list of all launches since the last call, each with a list of 32 numbers per quantity.
extern "C" const char* sdaaSimulatorMeter(void) {
  static thread_local std::string text;
  text = sdaa_simulator::device().meter();
  return text.c_str();
}

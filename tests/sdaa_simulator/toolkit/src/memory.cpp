// The host's side: devices, their memory, streams and events.
//
// All memory of a device is one anonymous file, mapped once for the engine, and with
// SDAA_SIM_PROTECT=1 a second time, without any access, for the addresses that callers get. So the
// host cannot touch device memory by mistake, and no page ever changes its protection.

#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "../include/sdaa_runtime.h"
#include "../include/sdaa_simulator.h"

struct sdaaStream {
  int device;
};
struct sdaaEvent {
  std::chrono::steady_clock::time_point when;
};

namespace sdaa_simulator {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kDefaultMemory = size_t{16} << 30;

size_t memory_size() {
  const char* text = std::getenv("SDAA_SIM_MEMORY");
  const size_t size = text == nullptr ? kDefaultMemory : std::strtoull(text, nullptr, 10);
  return (size + 4095) / 4096 * 4096;
}

bool protects() {
  const char* text = std::getenv("SDAA_SIM_PROTECT");
  return text != nullptr && std::strcmp(text, "0") != 0 && std::strcmp(text, "") != 0;
}

class Memory {
 public:
  Memory(int device, size_t size) : device_(device), size_(size) {
    const int file = memfd_create("sdaa", 0);
    if (file < 0 || ftruncate(file, static_cast<off_t>(size)) != 0) {
      std::perror("SDAA simulator: no memory for a device");
      std::abort();
    }
    engine_ = map(file, PROT_READ | PROT_WRITE);
    visible_ = protects() ? map(file, PROT_NONE) : engine_;
    close(file);
  }

  void* allocate(size_t size) {
    const size_t taken = std::max<size_t>(1, (size + kAlignment - 1) / kAlignment) * kAlignment;
    size_t begin = 0;
    for (const auto& [at, block] : blocks_) {
      if (at - begin >= taken) {
        break;
      }
      begin = at + block.taken;
    }
    if (size_ - begin < taken) {
      return nullptr;
    }
    blocks_[begin] = {size, taken};
    used_ += taken;
    return visible_ + begin;
  }

  bool release(const void* pointer) {
    const auto block = blocks_.find(static_cast<const char*>(pointer) - visible_);
    if (!holds(pointer) || block == blocks_.end()) {
      return false;
    }
    used_ -= block->second.taken;
    blocks_.erase(block);
    return true;
  }

  bool holds(const void* pointer) const {
    const char* at = static_cast<const char*>(pointer);
    return at >= visible_ && at < visible_ + size_;
  }

  bool find(const void* pointer, Allocation* found) const {
    if (!holds(pointer)) {
      return false;
    }
    const size_t offset = static_cast<const char*>(pointer) - visible_;
    auto block = blocks_.upper_bound(offset);
    if (block == blocks_.begin()) {
      return false;
    }
    block = std::prev(block);
    // One past the end belongs to it too: an empty range may lie there.
    if (offset > block->first + block->second.size) {
      return false;
    }
    *found = {
        reinterpret_cast<uintptr_t>(visible_ + block->first), block->second.size, device_};
    return true;
  }

  void* engine(const void* pointer) const {
    return engine_ + (static_cast<const char*>(pointer) - visible_);
  }

  size_t size() const { return size_; }
  size_t used() const { return used_; }

 private:
  struct Block {
    size_t size;
    size_t taken;
  };

  char* map(int file, int access) const {
    void* at = mmap(nullptr, size_, access, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (at == MAP_FAILED) {
      std::perror("SDAA simulator: no address space for a device");
      std::abort();
    }
    return static_cast<char*>(at);
  }

  int device_;
  size_t size_;
  char* engine_;
  char* visible_;
  size_t used_ = 0;
  std::map<size_t, Block> blocks_;
};

struct Host {
  std::mutex mutex;
  std::unique_ptr<Memory> memory[kDevices];
  std::set<const void*> streams;
  std::string sentence;
  sdaaError_t error = sdaaSuccess;
  bool throws = true;

  Memory& of(int device) {
    if (memory[device] == nullptr) {
      memory[device] = std::make_unique<Memory>(device, memory_size());
    }
    return *memory[device];
  }

  Memory* holding(const void* pointer) {
    for (const auto& one : memory) {
      if (one != nullptr && one->holds(pointer)) {
        return one.get();
      }
    }
    return nullptr;
  }
};

// Never destroyed: tensors of static lifetime are freed after main.
Host& host() {
  static Host* const one = new Host;
  return *one;
}

thread_local int device_of_thread = 0;
thread_local std::string asked_sentence;

// Null unless [pointer, pointer + size) lies in one allocation.
void* inside(const void* pointer, size_t size) {
  const std::lock_guard<std::mutex> lock(host().mutex);
  Memory* memory = host().holding(pointer);
  Allocation found{};
  if (memory == nullptr || !memory->find(pointer, &found)) {
    return nullptr;
  }
  const size_t offset = reinterpret_cast<uintptr_t>(pointer) - found.begin;
  return size <= found.size - offset ? memory->engine(pointer) : nullptr;
}

bool on_device(const void* pointer) {
  const std::lock_guard<std::mutex> lock(host().mutex);
  return host().holding(pointer) != nullptr;
}

sdaaError_t copy(void* dst, const void* src, size_t size, sdaaMemcpyKind kind) {
  if (size == 0) {
    return sdaaSuccess;
  }
  const bool to_device = kind == sdaaMemcpyHostToDevice || kind == sdaaMemcpyDeviceToDevice;
  const bool from_device = kind == sdaaMemcpyDeviceToHost || kind == sdaaMemcpyDeviceToDevice;
  if (to_device != on_device(dst) || from_device != on_device(src)) {
    return sdaaErrorInvalidValue;
  }
  void* to = to_device ? inside(dst, size) : dst;
  const void* from = from_device ? inside(src, size) : src;
  if (to == nullptr || from == nullptr) {
    return sdaaErrorInvalidValue;
  }
  std::memmove(to, from, size);
  return sdaaSuccess;
}

sdaaError_t fill(void* pointer, int value, size_t size) {
  if (size == 0) {
    return sdaaSuccess;
  }
  void* at = inside(pointer, size);
  if (at == nullptr) {
    return sdaaErrorInvalidValue;
  }
  std::memset(at, value, size);
  return sdaaSuccess;
}

sdaaError_t take_error() {
  const std::lock_guard<std::mutex> lock(host().mutex);
  const sdaaError_t error = host().error;
  host().error = sdaaSuccess;
  return error;
}

bool known(sdaaStream_t stream) {
  int device = 0;
  return stream == nullptr || find_stream(stream, &device);
}

}  // namespace

bool find_allocation(const void* address, Allocation* found) {
  const std::lock_guard<std::mutex> lock(host().mutex);
  Memory* memory = host().holding(address);
  return memory != nullptr && memory->find(address, found);
}

void* engine_address(const void* device) {
  const std::lock_guard<std::mutex> lock(host().mutex);
  return host().holding(device)->engine(device);
}

int current_device() {
  return device_of_thread;
}

bool find_stream(const void* stream, int* device) {
  const std::lock_guard<std::mutex> lock(host().mutex);
  if (host().streams.count(stream) == 0) {
    return false;
  }
  *device = static_cast<const sdaaStream*>(stream)->device;
  return true;
}

void report(const char* sentence) {
  const std::lock_guard<std::mutex> lock(host().mutex);
  host().sentence = sentence;
  host().error = sdaaErrorLaunchFailure;
}

bool throws() {
  return host().throws;
}

}  // namespace sdaa_simulator

using namespace sdaa_simulator;

extern "C" {

void* sdaaSimulatorHostAddress(const void* device) {
  return inside(device, 0);
}

int sdaaSimulatorDeviceOf(const void* pointer) {
  Allocation found{};
  return find_allocation(pointer, &found) ? found.device : -1;
}

const char* sdaaSimulatorError(void) {
  const std::lock_guard<std::mutex> lock(host().mutex);
  asked_sentence.swap(host().sentence);
  host().sentence.clear();
  host().error = sdaaSuccess;
  return asked_sentence.c_str();
}

void sdaaSimulatorThrow(int yes) {
  host().throws = yes != 0;
}

sdaaError_t sdaaGetDeviceCount(int* count) {
  *count = kDevices;
  return sdaaSuccess;
}

sdaaError_t sdaaSetDevice(int device) {
  if (device < 0 || device >= kDevices) {
    return sdaaErrorInvalidDevice;
  }
  device_of_thread = device;
  return sdaaSuccess;
}

sdaaError_t sdaaGetDevice(int* device) {
  *device = device_of_thread;
  return sdaaSuccess;
}

sdaaError_t sdaaDeviceSynchronize(void) {
  return take_error();
}

sdaaError_t sdaaMalloc(void** pointer, size_t size) {
  const std::lock_guard<std::mutex> lock(host().mutex);
  *pointer = host().of(device_of_thread).allocate(size);
  return *pointer == nullptr ? sdaaErrorMemoryAllocation : sdaaSuccess;
}

sdaaError_t sdaaFree(void* pointer) {
  if (pointer == nullptr) {
    return sdaaSuccess;
  }
  const std::lock_guard<std::mutex> lock(host().mutex);
  Memory* memory = host().holding(pointer);
  return memory != nullptr && memory->release(pointer) ? sdaaSuccess : sdaaErrorInvalidValue;
}

sdaaError_t sdaaMallocHost(void** pointer, size_t size) {
  const size_t rounded = std::max<size_t>(1, (size + kAlignment - 1) / kAlignment) * kAlignment;
  *pointer = std::aligned_alloc(kAlignment, rounded);
  return *pointer == nullptr ? sdaaErrorMemoryAllocation : sdaaSuccess;
}

sdaaError_t sdaaFreeHost(void* pointer) {
  std::free(pointer);
  return sdaaSuccess;
}

sdaaError_t sdaaMemGetInfo(size_t* free, size_t* total) {
  const std::lock_guard<std::mutex> lock(host().mutex);
  const Memory& memory = host().of(device_of_thread);
  *total = memory.size();
  *free = memory.size() - memory.used();
  return sdaaSuccess;
}

sdaaError_t sdaaMemcpy(void* dst, const void* src, size_t size, sdaaMemcpyKind kind) {
  return copy(dst, src, size, kind);
}

sdaaError_t sdaaMemcpyAsync(
    void* dst, const void* src, size_t size, sdaaMemcpyKind kind, sdaaStream_t stream) {
  return known(stream) ? copy(dst, src, size, kind) : sdaaErrorInvalidResourceHandle;
}

sdaaError_t sdaaMemset(void* pointer, int value, size_t size) {
  return fill(pointer, value, size);
}

sdaaError_t sdaaMemsetAsync(void* pointer, int value, size_t size, sdaaStream_t stream) {
  return known(stream) ? fill(pointer, value, size) : sdaaErrorInvalidResourceHandle;
}

sdaaError_t sdaaStreamCreate(sdaaStream_t* stream) {
  *stream = new sdaaStream{device_of_thread};
  const std::lock_guard<std::mutex> lock(host().mutex);
  host().streams.insert(*stream);
  return sdaaSuccess;
}

sdaaError_t sdaaStreamDestroy(sdaaStream_t stream) {
  const std::lock_guard<std::mutex> lock(host().mutex);
  if (host().streams.erase(stream) == 0) {
    return sdaaErrorInvalidResourceHandle;
  }
  delete stream;
  return sdaaSuccess;
}

sdaaError_t sdaaStreamQuery(sdaaStream_t stream) {
  return known(stream) ? sdaaSuccess : sdaaErrorInvalidResourceHandle;
}

sdaaError_t sdaaStreamSynchronize(sdaaStream_t stream) {
  return known(stream) ? take_error() : sdaaErrorInvalidResourceHandle;
}

sdaaError_t sdaaStreamWaitEvent(sdaaStream_t stream, sdaaEvent_t event, unsigned) {
  return known(stream) && event != nullptr ? sdaaSuccess : sdaaErrorInvalidResourceHandle;
}

sdaaError_t sdaaEventCreate(sdaaEvent_t* event) {
  *event = new sdaaEvent{};
  return sdaaSuccess;
}

sdaaError_t sdaaEventDestroy(sdaaEvent_t event) {
  delete event;
  return sdaaSuccess;
}

sdaaError_t sdaaEventRecord(sdaaEvent_t event, sdaaStream_t stream) {
  if (!known(stream)) {
    return sdaaErrorInvalidResourceHandle;
  }
  event->when = std::chrono::steady_clock::now();
  return sdaaSuccess;
}

sdaaError_t sdaaEventQuery(sdaaEvent_t) {
  return sdaaSuccess;
}

sdaaError_t sdaaEventSynchronize(sdaaEvent_t) {
  return take_error();
}

sdaaError_t sdaaEventElapsedTime(float* milliseconds, sdaaEvent_t start, sdaaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->when - start->when).count();
  return sdaaSuccess;
}

const char* sdaaGetErrorString(sdaaError_t error) {
  switch (error) {
    case sdaaSuccess:
      return "no error";
    case sdaaErrorInvalidValue:
      return "an argument is out of range: a size, a side of a copy, or unallocated memory";
    case sdaaErrorMemoryAllocation:
      return "out of memory";
    case sdaaErrorInvalidDevice:
      return "there is no such device";
    case sdaaErrorInvalidResourceHandle:
      return "there is no such stream or event";
    case sdaaErrorNotReady:
      return "not done yet";
    case sdaaErrorLaunchFailure:
      return "a kernel failed";
  }
  return "unknown error";
}

}  // extern "C"

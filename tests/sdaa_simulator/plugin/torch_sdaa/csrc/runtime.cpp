// Devices, memory, streams and events of the toolkit's runtime under c10's interfaces.

#include "runtime.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/GeneratorForPrivateuseone.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/Storage.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <type_traits>
#include <vector>

namespace torch_sdaa {
namespace {

constexpr int kMaxDevices = 16;

bool used = false;
bool forked_after_use = false;

void note_fork() {
  forked_after_use = used;
}

// Runs `body` with the device current, and the former one afterwards.
template <typename Body>
void on_device(c10::DeviceIndex index, const Body& body) {
  const c10::DeviceIndex before = current_device();
  set_device(index);
  body();
  set_device(before);
}

// Memory

struct Blocks {
  std::mutex mutex;
  std::map<void*, std::pair<c10::DeviceIndex, size_t>> sizes;
  std::array<MemoryCounts, kMaxDevices> counts;
  std::map<const char*, size_t> pinned;
};

// Never destroyed: tensors of static lifetime are freed after main.
Blocks& blocks() {
  static Blocks* const one = new Blocks;
  return *one;
}

void free_device(void* pointer) {
  Blocks& all = blocks();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto block = all.sizes.find(pointer);
  all.counts[block->second.first].now -= static_cast<int64_t>(block->second.second);
  all.sizes.erase(block);
  // Not checked: a deleter must not throw.
  sdaaFree(pointer);
}

struct DeviceAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    check_fork();
    const c10::DeviceIndex index = current_device();
    const c10::Device device(kSDAA, index);
    if (size == 0) {
      return {nullptr, device};
    }
    void* pointer = nullptr;
    const sdaaError_t error = sdaaMalloc(&pointer, size);
    TORCH_CHECK_WITH(
        OutOfMemoryError, error != sdaaErrorMemoryAllocation, "SDAA out of memory: ", size,
        " bytes were asked for on device ", static_cast<int>(index));
    SDAA_CHECK(error);
    Blocks& all = blocks();
    const std::lock_guard<std::mutex> lock(all.mutex);
    all.sizes[pointer] = {index, size};
    MemoryCounts& counts = all.counts[index];
    counts.now += static_cast<int64_t>(size);
    counts.peak = std::max(counts.peak, counts.now);
    return {pointer, pointer, &free_device, device};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &free_device; }

  void copy_data(void* dst, const void* src, size_t size) const override {
    SDAA_CHECK(sdaaMemcpy(dst, src, size, sdaaMemcpyDeviceToDevice));
  }
};

void free_pinned(void* pointer) {
  {
    const std::lock_guard<std::mutex> lock(blocks().mutex);
    blocks().pinned.erase(static_cast<const char*>(pointer));
  }
  sdaaFreeHost(pointer);
}

struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    void* pointer = nullptr;
    SDAA_CHECK(sdaaMallocHost(&pointer, size));
    const std::lock_guard<std::mutex> lock(blocks().mutex);
    blocks().pinned[static_cast<const char*>(pointer)] = size;
    return {pointer, pointer, &free_pinned, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &free_pinned; }

  void copy_data(void* dst, const void* src, size_t size) const override {
    default_copy_data(dst, src, size);
  }
};

// Streams. A c10 stream's id is the address of the runtime's stream, and the default stream is one
// like any other: so nothing ever runs on the null stream by accident.

std::array<sdaaStream_t, kMaxDevices>& default_streams() {
  static auto* const streams = [] {
    auto* made = new std::array<sdaaStream_t, kMaxDevices>();
    for (c10::DeviceIndex index = 0; index < device_count(); ++index) {
      (*made)[index] = new_stream(index);
    }
    return made;
  }();
  return *streams;
}

thread_local std::array<sdaaStream_t, kMaxDevices> current_streams{};

c10::Stream as_c10(c10::DeviceIndex index, sdaaStream_t stream) {
  return c10::Stream(
      c10::Stream::UNSAFE, c10::Device(kSDAA, index), reinterpret_cast<intptr_t>(stream));
}

sdaaStream_t as_sdaa(const c10::Stream& stream) {
  return reinterpret_cast<sdaaStream_t>(static_cast<intptr_t>(stream.id()));
}

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kSDAA; }

  c10::Device exchangeDevice(c10::Device device) const override {
    const c10::Device before = getDevice();
    setDevice(device);
    return before;
  }
  c10::Device getDevice() const override { return {kSDAA, current_device()}; }
  void setDevice(c10::Device device) const override {
    TORCH_INTERNAL_ASSERT(device.type() == kSDAA);
    set_device(device.index());
  }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    sdaaSetDevice(device.index());
  }
  c10::DeviceIndex deviceCount() const noexcept override { return device_count(); }
  void synchronizeDevice(const c10::DeviceIndex index) const { // no base in torch before 2.6
    count_host_wait();
    on_device(index, [] { SDAA_CHECK(sdaaDeviceSynchronize()); });
  }

  c10::Stream getStream(c10::Device device) const noexcept override {
    return as_c10(device.index(), current_stream(device.index()));
  }
  c10::Stream getDefaultStream(c10::Device device) const override {
    return as_c10(device.index(), default_stream(device.index()));
  }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool = false) const override {
    return as_c10(device.index(), new_stream(device.index()));
  }
  c10::Stream getNewStream(c10::Device device, int = 0) const override {
    return as_c10(device.index(), new_stream(device.index()));
  }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override {
    const c10::Stream before = getStream(stream.device());
    set_stream(stream.device_index(), as_sdaa(stream));
    return before;
  }
  bool queryStream(const c10::Stream& stream) const override {
    return sdaaStreamQuery(as_sdaa(stream)) == sdaaSuccess;
  }
  void synchronizeStream(const c10::Stream& stream) const override {
    count_host_wait();
    SDAA_CHECK(sdaaStreamSynchronize(as_sdaa(stream)));
  }

  void record(
      void** event, const c10::Stream& stream, const c10::DeviceIndex,
      const c10::EventFlag) const override {
    if (*event == nullptr) {
      sdaaEvent_t made = nullptr;
      SDAA_CHECK(sdaaEventCreate(&made));
      *event = made;
    }
    SDAA_CHECK(sdaaEventRecord(static_cast<sdaaEvent_t>(*event), as_sdaa(stream)));
  }
  void block(void* event, const c10::Stream& stream) const override {
    SDAA_CHECK(sdaaStreamWaitEvent(as_sdaa(stream), static_cast<sdaaEvent_t>(event), 0));
  }
  bool queryEvent(void* event) const override {
    return event == nullptr || sdaaEventQuery(static_cast<sdaaEvent_t>(event)) == sdaaSuccess;
  }
  void synchronizeEvent(void* event) const override {
    count_host_wait();
    SDAA_CHECK(sdaaEventSynchronize(static_cast<sdaaEvent_t>(event)));
  }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override {
    if (event != nullptr) {
      sdaaEventDestroy(static_cast<sdaaEvent_t>(event));
    }
  }
  double elapsedTime(void* start, void* end, const c10::DeviceIndex) const override {
    float milliseconds = 0;
    SDAA_CHECK(sdaaEventElapsedTime(
        &milliseconds, static_cast<sdaaEvent_t>(start), static_cast<sdaaEvent_t>(end)));
    return milliseconds;
  }
};

// Random numbers are the CPU's, under a state of the device's own.
struct Generator final : at::CPUGeneratorImpl {
  explicit Generator(c10::DeviceIndex index) {
    device_ = c10::Device(kSDAA, index);
    key_set_ = c10::DispatchKeySet(c10::DispatchKey::PrivateUse1);
  }

 private:
  Generator* clone_impl() const override {
    auto* copy = new Generator(device_.index());
    auto* self = const_cast<Generator*>(this);
    copy->set_engine(self->engine());
    copy->set_next_float_normal_sample(self->next_float_normal_sample());
    copy->set_next_double_normal_sample(self->next_double_normal_sample());
    return copy;
  }
};

at::Generator new_generator(c10::DeviceIndex index) {
  return at::make_generator<Generator>(index < 0 ? current_device() : index);
}

// No `override` below: which of these functions the interface has differs from torch 2.4 to 2.13,
// in constness too.
struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const { return true; }
  bool isAvailable() const { return device_count() > 0; }
  bool hasPrimaryContext(c10::DeviceIndex) const { return used; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex index) {
    return default_generator(index);
  }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex index) const {
    return default_generator(index);
  }
  at::Generator getNewGenerator(c10::DeviceIndex index = -1) const { return new_generator(index); }
  c10::DeviceIndex deviceCount() const { return device_count(); }
  void setCurrentDevice(c10::DeviceIndex index) const { set_device(index); }
  c10::DeviceIndex getCurrentDevice() const { return current_device(); }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex index) const {
    const c10::DeviceIndex before = current_device();
    set_device(index);
    return before;
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex index) const {
    return index < 0 ? current_device() : exchangeDevice(index);
  }
  c10::Device getDeviceFromPtr(void* pointer) const {
    const std::lock_guard<std::mutex> lock(blocks().mutex);
    const auto block = blocks().sizes.find(pointer);
    TORCH_CHECK(block != blocks().sizes.end(), "the pointer is not one of the device's memory");
    return {kSDAA, block->second.first};
  }
  bool isPinnedPtr(const void* pointer) const { return is_pinned(pointer); }
  c10::Allocator* getPinnedMemoryAllocator() const { return pinned_allocator(); }
  void init() const {}
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t size) const {
    c10::DataPtr grown;
    on_device(storage.device().index(), [&] { grown = device_allocator()->allocate(size); });
    const size_t kept = std::min(size, storage.nbytes());
    if (kept > 0) {
      SDAA_CHECK(sdaaMemcpy(grown.get(), storage.data(), kept, sdaaMemcpyDeviceToDevice));
    }
    storage.set_data_ptr_noswap(std::move(grown));
    storage.set_nbytes(size);
  }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);
c10::AllocatorRegisterer<kSDAA> register_allocator(device_allocator());

// Where the interface cannot make generators, a function has to be registered; where it can, that
// is deprecated and says so on every import.
template <typename Interface, typename = void>
struct GeneratorMaker {
  const at::_GeneratorRegister registered{&new_generator};
};
template <typename Interface>
struct GeneratorMaker<Interface, std::void_t<decltype(&Interface::getNewGenerator)>> {};
const GeneratorMaker<at::PrivateUse1HooksInterface> register_generator;

const bool registered = [] {
  at::RegisterPrivateUse1HooksInterface(new Hooks);
  pthread_atfork(nullptr, nullptr, &note_fork);
  return true;
}();

}  // namespace

bool is_in_bad_fork() {
  return forked_after_use;
}

void check_fork() {
  TORCH_CHECK(
      !forked_after_use,
      "Cannot use SDAA in a process that was forked after its first use: start it with the spawn "
      "method");
  used = true;
}

c10::DeviceIndex device_count() {
  static const int count = [] {
    int found = 0;
    return sdaaGetDeviceCount(&found) == sdaaSuccess ? std::min(found, kMaxDevices) : 0;
  }();
  return static_cast<c10::DeviceIndex>(count);
}

c10::DeviceIndex current_device() {
  int device = 0;
  sdaaGetDevice(&device);
  return static_cast<c10::DeviceIndex>(device);
}

void set_device(c10::DeviceIndex index) {
  SDAA_CHECK(sdaaSetDevice(index));
}

MemoryCounts memory_counts(c10::DeviceIndex index) {
  const std::lock_guard<std::mutex> lock(blocks().mutex);
  return blocks().counts.at(index);
}

namespace {
std::atomic<int64_t> waits{0};
}

void count_host_wait() {
  ++waits;
}
int64_t host_waits() {
  return waits;
}
void clear_host_waits() {
  waits = 0;
}

void reset_peak(c10::DeviceIndex index) {
  const std::lock_guard<std::mutex> lock(blocks().mutex);
  blocks().counts.at(index).peak = blocks().counts.at(index).now;
}

c10::Allocator* device_allocator() {
  static DeviceAllocator* const one = new DeviceAllocator;
  return one;
}

c10::Allocator* pinned_allocator() {
  static PinnedAllocator* const one = new PinnedAllocator;
  return one;
}

bool is_pinned(const void* pointer) {
  const char* at = static_cast<const char*>(pointer);
  const std::lock_guard<std::mutex> lock(blocks().mutex);
  auto block = blocks().pinned.upper_bound(at);
  if (block == blocks().pinned.begin()) {
    return false;
  }
  --block;
  return at < block->first + block->second;
}

sdaaStream_t new_stream(c10::DeviceIndex index) {
  sdaaStream_t stream = nullptr;
  on_device(index, [&] { SDAA_CHECK(sdaaStreamCreate(&stream)); });
  return stream;
}

sdaaStream_t default_stream(c10::DeviceIndex index) {
  return default_streams().at(index);
}

sdaaStream_t current_stream(c10::DeviceIndex index) {
  const sdaaStream_t stream = current_streams.at(index);
  return stream == nullptr ? default_stream(index) : stream;
}

void set_stream(c10::DeviceIndex index, sdaaStream_t stream) {
  current_streams.at(index) = stream;
}

at::Generator& default_generator(c10::DeviceIndex index) {
  static auto* const generators = [] {
    auto* made = new std::vector<at::Generator>;
    for (c10::DeviceIndex i = 0; i < device_count(); ++i) {
      made->push_back(new_generator(i));
    }
    return made;
  }();
  return generators->at(index < 0 ? current_device() : index);
}

}  // namespace torch_sdaa

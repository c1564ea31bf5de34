// The Python module torch_sdaa._C. Loading it registers the device; torch_sdaa/sdaa.py makes
// torch.sdaa of what it offers.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <cstdint>

#include "runtime.h"

namespace torch_sdaa {
namespace {

sdaaStream_t stream_of(int64_t id) {
  return reinterpret_cast<sdaaStream_t>(static_cast<intptr_t>(id));
}

int64_t id_of(const void* handle) {
  return reinterpret_cast<intptr_t>(handle);
}

class Event {
 public:
  Event() { SDAA_CHECK(sdaaEventCreate(&event_)); }
  ~Event() { sdaaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(int64_t stream) { SDAA_CHECK(sdaaEventRecord(event_, stream_of(stream))); }
  void wait(int64_t stream) { SDAA_CHECK(sdaaStreamWaitEvent(stream_of(stream), event_, 0)); }
  bool query() const { return sdaaEventQuery(event_) == sdaaSuccess; }
  void synchronize() {
    count_host_wait();
    SDAA_CHECK(sdaaEventSynchronize(event_));
  }
  float elapsed_time(const Event& end) const {
    float milliseconds = 0;
    SDAA_CHECK(sdaaEventElapsedTime(&milliseconds, event_, end.event_));
    return milliseconds;
  }

 private:
  sdaaEvent_t event_ = nullptr;
};

}  // namespace
}  // namespace torch_sdaa

PYBIND11_MODULE(_C, m) {
  using namespace torch_sdaa;
  m.def("is_in_bad_fork", &is_in_bad_fork);
  m.def("check_fork", &check_fork);
  m.def("device_count", [] { return static_cast<int>(device_count()); });
  m.def("current_device", [] { return static_cast<int>(current_device()); });
  m.def("set_device", [](int index) {
    check_fork();
    set_device(static_cast<c10::DeviceIndex>(index));
  });
  m.def("synchronize", [] {
    count_host_wait();
    SDAA_CHECK(sdaaDeviceSynchronize());
  });
  m.def("memory", [](int index) {
    const MemoryCounts counts = memory_counts(static_cast<c10::DeviceIndex>(index));
    return std::make_pair(counts.now, counts.peak);
  });
  m.def("reset_peak", [](int index) { reset_peak(static_cast<c10::DeviceIndex>(index)); });
  m.def("memory_info", [] {
    size_t free = 0;
    size_t total = 0;
    SDAA_CHECK(sdaaMemGetInfo(&free, &total));
    return std::make_pair(free, total);
  });
  m.def("default_generator", [](int index) {
    return default_generator(static_cast<c10::DeviceIndex>(index));
  });
  m.def("current_stream", [](int index) {
    return id_of(current_stream(static_cast<c10::DeviceIndex>(index)));
  });
  m.def("default_stream", [](int index) {
    return id_of(default_stream(static_cast<c10::DeviceIndex>(index)));
  });
  m.def("new_stream", [](int index) {
    return id_of(new_stream(static_cast<c10::DeviceIndex>(index)));
  });
  m.def("set_stream", [](int index, int64_t id) {
    set_stream(static_cast<c10::DeviceIndex>(index), stream_of(id));
  });
  m.def("query_stream", [](int64_t id) { return sdaaStreamQuery(stream_of(id)) == sdaaSuccess; });
  m.def("synchronize_stream", [](int64_t id) {
    count_host_wait();
    SDAA_CHECK(sdaaStreamSynchronize(stream_of(id)));
  });
  m.def("host_waits", &host_waits);
  m.def("clear_host_waits", &clear_host_waits);
  m.def("fallback_counts", &fallback_counts);
  m.def("clear_fallback_counts", &clear_fallback_counts);
  pybind11::class_<Event>(m, "Event")
      .def(pybind11::init<>())
      .def("record", &Event::record)
      .def("wait", &Event::wait)
      .def("query", &Event::query)
      .def("synchronize", &Event::synchronize)
      .def("elapsed_time", &Event::elapsed_time);
}

// Stands in for torch's header where the kernels are built for ThreadSanitizer: tests/sanitize.sh.
//
// torch's parallel_for is an OpenMP region, whose barriers are inside a runtime that the sanitizer
// cannot look into, so that it would report every result as a race with its reader. This one starts
// threads and joins them, which it understands. The grain is not kept to, so that small tests are
// cut into pieces, too.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace at {

inline int get_num_threads() {
  return 4;
}

template <typename F>
void parallel_for(int64_t begin, int64_t end, int64_t /*grain*/, const F& body) {
  if (begin >= end) {
    return;
  }
  const int64_t size = end - begin;
  const int64_t count = std::min<int64_t>(get_num_threads(), size);
  const int64_t chunk = (size + count - 1) / count;
  std::exception_ptr failure;
  std::mutex guard;
  std::vector<std::thread> threads;
  for (int64_t from = begin; from < end; from += chunk) {
    const int64_t to = std::min(end, from + chunk);
    threads.emplace_back([&, from, to] {
      try {
        body(from, to);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(guard);
        failure = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

}  // namespace at

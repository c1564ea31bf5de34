// Memory for results.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace cornernet {

// From this size on, C libraries take memory from the system anew for every tensor and give it back
// afterwards (glibc's largest M_MMAP_THRESHOLD), so that each of its pages costs a page fault when
// it is first written: as much time as the op itself takes, or more.
constexpr int64_t kFreshBytes = 1 << 25;
// What Linux calls a transparent huge page, on most processors. Where it is another size the advice
// is as good; it is about whole ranges.
constexpr int64_t kHugePage = 1 << 21;

// Asks for huge pages, of which few are needed. Only advice: where the system has none, or has them
// switched off, nothing happens.
inline void advise_huge_pages(void* memory, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (bytes < kFreshBytes) {
    return;
  }
  // Whole huge pages within the tensor, not its neighbours' memory.
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (begin + static_cast<uintptr_t>(bytes)) / kHugePage * kHugePage;
  madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)memory;
  (void)bytes;
#endif
}

// Not yet filled, of the shape and dtype of `like`, which is dense in `layout`.
inline at::Tensor empty_result(const at::Tensor& like, at::MemoryFormat layout) {
  at::Tensor result = at::empty_like(like, {}, layout);
  advise_huge_pages(result.mutable_data_ptr(), static_cast<int64_t>(result.nbytes()));
  return result;
}

}  // namespace cornernet

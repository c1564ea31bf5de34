// Memory for results.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace cornernet {

// From about this size on, C libraries take memory from the system anew for every tensor and give
// it back afterwards (glibc, by M_MMAP_THRESHOLD and M_TRIM_THRESHOLD), so that each of its pages
// costs a page fault when it is first written: more time than the op itself takes.
constexpr int64_t kFreshBytes = 1 << 24;
// A transparent huge page of most systems; ranges of another size are as good advice.
constexpr int64_t kHugePage = 1 << 21;

// Asks for huge pages, of which few are needed, under a tensor that is not yet filled. This is
// advice: where the system has none, or has them switched off, nothing happens.
inline at::Tensor on_huge_pages(at::Tensor fresh) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const uint64_t bytes = fresh.nbytes();
  if (bytes >= kFreshBytes) {
    // Whole huge pages within the tensor: its neighbours keep what they have.
    const auto begin = reinterpret_cast<uintptr_t>(fresh.mutable_data_ptr());
    const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
    const uintptr_t last = (begin + bytes) / kHugePage * kHugePage;
    madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
  }
#endif
  return fresh;
}

}  // namespace cornernet

// What the launchers of all ops for the CPU do with torch's tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace cornernet::cpu {

// C libraries take tensors of this size and more from the system at each allocation and give them
// back afterwards (glibc: M_MMAP_THRESHOLD), so that each page costs a page fault when it is first
// written: more time than the op itself takes. Smaller ones are used again, and are left as they
// are: moving existing pages onto a huge one stops the threads that use them.
constexpr int64_t kFreshBytes = 1 << 25;
// A transparent huge page of most systems; ranges of another size are as good advice.
constexpr int64_t kHugePage = 1 << 21;

// Puts a tensor that is not yet written on huge pages, of which few are needed. This is advice:
// where the system has none, or has them switched off, nothing happens.
inline at::Tensor use_huge_pages(at::Tensor fresh) {
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

}  // namespace cornernet::cpu

// Plain loops, compiled twice: for the baseline of the architecture, and on x86 for AVX2 too; the
// processor that runs decides. AVX-512 brings nothing more to kernels that wait for memory, and
// other architectures have their vectors in the baseline.
#pragma once

#include <cstdlib>
#include <cstring>

#if defined(__GNUC__)
#define CORNERNET_INLINE __attribute__((always_inline)) inline
#define CORNERNET_INLINE_LAMBDA __attribute__((always_inline))
// Before a loop whose steps do not meet in memory, though the compiler cannot know it.
#if defined(__clang__)
#define CORNERNET_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define CORNERNET_IVDEP _Pragma("GCC ivdep")
#endif
#else
#define CORNERNET_IVDEP
#define CORNERNET_INLINE inline
#define CORNERNET_INLINE_LAMBDA
#endif

namespace cornernet::cpu {

#if defined(__GNUC__) && defined(__x86_64__)

// Whether the processor has AVX2 (and so F16C, which is older) and may use it: the variable with
// which torch's own kernels are told to keep to the baseline is heeded here too.
inline bool has_avx2() {
  static const bool has = [] {
    const char* capability = std::getenv("ATEN_CPU_CAPABILITY");
    const bool baseline = capability != nullptr && std::strcmp(capability, "default") == 0;
    return !baseline && __builtin_cpu_supports("avx2") != 0;
  }();
  return has;
}

template <typename Body>
__attribute__((target("avx2"), noinline)) void with_avx2(const Body& body) {
  body();
}

// Runs body(), a lambda marked CORNERNET_INLINE_LAMBDA that calls only CORNERNET_INLINE functions:
// what is not inlined keeps the baseline's instructions.
template <typename Body>
void vectorized(const Body& body) {
  if (has_avx2()) {
    with_avx2(body);
  } else {
    body();
  }
}

#else

template <typename Body>
void vectorized(const Body& body) {
  body();
}

#endif

}  // namespace cornernet::cpu

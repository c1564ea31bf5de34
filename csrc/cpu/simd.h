// Plain loops, compiled twice: for the baseline of the architecture, and on x86 for AVX2 too; the
// processor that runs decides. AVX-512 brings nothing more to kernels that wait for memory, and
// other architectures have their vectors in the baseline.
#pragma once

#include <cstdlib>
#include <cstring>

#if !defined(__GNUC__)
#error \
    "csrc/cpu is written with the vector types and attributes of GCC: compile it with GCC or Clang"
#endif

#define CORNERNET_INLINE __attribute__((always_inline)) inline
#define CORNERNET_INLINE_LAMBDA __attribute__((always_inline))

namespace cornernet::cpu {

#if defined(__x86_64__)

// Whether the processor has AVX2 (and so F16C, which is older) and may use it: the variable with
// which torch's own kernels are told to keep to the baseline holds here too.
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

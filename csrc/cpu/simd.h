// Plain loops, compiled twice: for the baseline of the architecture, and on x86 for AVX2 too; the
// processor that runs decides. AVX-512 brings nothing more to kernels that wait for memory, and
// other architectures have their vectors in the baseline.
#pragma once

#if defined(__GNUC__)
#define CORNERNET_INLINE __attribute__((always_inline)) inline
#define CORNERNET_INLINE_LAMBDA __attribute__((always_inline))
#else
#define CORNERNET_INLINE inline
#define CORNERNET_INLINE_LAMBDA
#endif

namespace cornernet {

#if defined(__GNUC__) && defined(__x86_64__)

template <typename Body>
__attribute__((target("avx2"), noinline)) void with_avx2(const Body& body) {
  body();
}

// Runs body(), a lambda marked CORNERNET_INLINE_LAMBDA that calls only CORNERNET_INLINE functions:
// what is not inlined keeps the baseline's instructions.
template <typename Body>
void vectorized(const Body& body) {
  static const bool avx2 = __builtin_cpu_supports("avx2") != 0;
  if (avx2) {
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

}  // namespace cornernet

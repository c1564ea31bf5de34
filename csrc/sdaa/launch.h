// What every kernel in SDAA C includes. No torch here, nor in any .scpp: the vendor's compiler sees
// raw pointers and a stream.
#pragma once

#include <sdaa_runtime.h>
#include <sdaa_transpose.h>
#include <simd.h>
#include <slave.h>
#if __has_include(<sdaa_memcpy.h>)
#include <sdaa_memcpy.h>
#endif

#include <cstdint>

namespace cornernet::sdaa {
using namespace ::sdaa;  // the copies, barriers and their types
}

// One place for the syntax that only the vendor's compiler reads. Every SPE of the device runs the
// kernel; the first launch argument is a placeholder.
#ifndef SDAA_LAUNCH
#define SDAA_LAUNCH(kernel, stream, ...) kernel<<<1, stream>>>(__VA_ARGS__)
#endif

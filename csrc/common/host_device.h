// Marks a function that host code and kernels of devices share. No torch here.
#pragma once

#if defined(__CUDACC__) || defined(__SDAA__)
#define CORNERNET_HOST_DEVICE __host__ __device__
#else
#define CORNERNET_HOST_DEVICE
#endif

// The same for one that is called in loops that the host's compiler vectorizes.
#if !defined(__CUDACC__) && !defined(__SDAA__) && defined(__GNUC__)
#define CORNERNET_HOST_DEVICE_INLINE __attribute__((always_inline)) inline
#else
#define CORNERNET_HOST_DEVICE_INLINE CORNERNET_HOST_DEVICE inline
#endif

// Marks a function that host code and kernels of devices share. No torch here.
#pragma once

#if defined(__CUDACC__) || defined(__SDAA__)
#define CORNERNET_HOST_DEVICE __host__ __device__
#else
#define CORNERNET_HOST_DEVICE
#endif

/* The host's side of the simulated SDAA toolkit: the names of the vendor's runtime that this
 * project and its plug-in use. Work on a stream is done before the call returns, which is one of
 * the orders that a stream allows. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  sdaaSuccess = 0,
  sdaaErrorInvalidValue = 1,
  sdaaErrorMemoryAllocation = 2,
  sdaaErrorInvalidDevice = 101,
  sdaaErrorInvalidResourceHandle = 400,
  sdaaErrorNotReady = 600,
  sdaaErrorLaunchFailure = 719
} sdaaError_t;

typedef enum {
  sdaaMemcpyHostToHost = 0,
  sdaaMemcpyHostToDevice = 1,
  sdaaMemcpyDeviceToHost = 2,
  sdaaMemcpyDeviceToDevice = 3
} sdaaMemcpyKind;

typedef struct sdaaStream* sdaaStream_t;
typedef struct sdaaEvent* sdaaEvent_t;

sdaaError_t sdaaGetDeviceCount(int* count);
sdaaError_t sdaaSetDevice(int device);
sdaaError_t sdaaGetDevice(int* device);
sdaaError_t sdaaDeviceSynchronize(void);

sdaaError_t sdaaMalloc(void** pointer, size_t size);
sdaaError_t sdaaFree(void* pointer);
sdaaError_t sdaaMallocHost(void** pointer, size_t size);
sdaaError_t sdaaFreeHost(void* pointer);
sdaaError_t sdaaMemGetInfo(size_t* free, size_t* total);
sdaaError_t sdaaMemcpy(void* dst, const void* src, size_t size, sdaaMemcpyKind kind);
sdaaError_t sdaaMemcpyAsync(
    void* dst, const void* src, size_t size, sdaaMemcpyKind kind, sdaaStream_t stream);
sdaaError_t sdaaMemset(void* pointer, int value, size_t size);
sdaaError_t sdaaMemsetAsync(void* pointer, int value, size_t size, sdaaStream_t stream);

sdaaError_t sdaaStreamCreate(sdaaStream_t* stream);
sdaaError_t sdaaStreamDestroy(sdaaStream_t stream);
sdaaError_t sdaaStreamQuery(sdaaStream_t stream);
sdaaError_t sdaaStreamSynchronize(sdaaStream_t stream);
sdaaError_t sdaaStreamWaitEvent(sdaaStream_t stream, sdaaEvent_t event, unsigned flags);

sdaaError_t sdaaEventCreate(sdaaEvent_t* event);
sdaaError_t sdaaEventDestroy(sdaaEvent_t event);
sdaaError_t sdaaEventRecord(sdaaEvent_t event, sdaaStream_t stream);
sdaaError_t sdaaEventQuery(sdaaEvent_t event);
sdaaError_t sdaaEventSynchronize(sdaaEvent_t event);
sdaaError_t sdaaEventElapsedTime(float* milliseconds, sdaaEvent_t start, sdaaEvent_t end);

const char* sdaaGetErrorString(sdaaError_t error);

#ifdef __cplusplus
}
#endif

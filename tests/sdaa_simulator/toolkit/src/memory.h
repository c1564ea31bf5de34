// Device memory: which addresses are whose, and where the engine may touch them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sdaa_simulator {

constexpr int kDevices = 4;

struct Allocation {
  uintptr_t begin;
  size_t size;
  int device;
};

// The allocation that holds the address; false if there is none.
bool find_allocation(const void* address, Allocation* found);

// The view through which the simulator's engine touches a device address.
void* engine_address(const void* device);

int current_device();

// Whether the stream exists, and on which device.
bool find_stream(const void* stream, int* device);

// Keeps the sentence for sdaaSimulatorError and the error code for the next synchronization.
void report(const char* sentence);
bool throws();

}  // namespace sdaa_simulator

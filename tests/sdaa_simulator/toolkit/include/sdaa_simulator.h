/* What the simulator has and a card has not. For the stand-in of torch_sdaa and for tests; product
 * code includes none of this. */
#pragma once

#include "sdaa_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the host may read and write what lies at `device`: the same address, or with
 * SDAA_SIM_PROTECT=1 another view of the same pages, because there the device address itself can
 * be touched by nobody. Null if the address is not in allocated device memory. */
void* sdaaSimulatorHostAddress(const void* device);

/* The device that an address lies on, -1 for host memory. */
int sdaaSimulatorDeviceOf(const void* pointer);

/* The sentence of the last broken rule, empty if there was none; asking clears it. */
const char* sdaaSimulatorError(void);

/* Whether a launch that breaks a rule throws std::runtime_error (the default), or only leaves its
 * sentence to sdaaSimulatorError and an error code to the next synchronization. */
void sdaaSimulatorThrow(int yes);

/* What the kernels since the last call did, as JSON: a list of launches, each with its name and 32
 * numbers, one of every SPE, for each quantity that ../../meter.py reads. */
const char* sdaaSimulatorMeter(void);

#ifdef __cplusplus
}
#endif

// Work partitioned evenly among all SPEs.
#pragma once

#include "launch.h"

namespace cornernet::sdaa {

// This SPE's place in the sequence of parts. Neighbours are of one column of the array, which
// share a path to memory: where only every second or fourth share holds any work, that lies in all
// of the columns.
__device__ inline int64_t partition_index() {
  constexpr int64_t kColumns = 8;
  const int64_t me = static_cast<int64_t>(threadIdx);
  return me % kColumns * (static_cast<int64_t>(threadDim) / kColumns) + me / kColumns;
}

// [begin, end) of this SPE among `count` pieces of work.
struct Partition {
  int64_t begin;
  int64_t end;

  __device__ explicit Partition(int64_t count)
      : begin(count * partition_index() / static_cast<int64_t>(threadDim)),
        end(count * (partition_index() + 1) / static_cast<int64_t>(threadDim)) {}
};

}  // namespace cornernet::sdaa

// The launcher of corner_decode.cu: raw pointers, no torch. Contract in
// cornernet_ops/corner_decode.py.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "../common/dtype.h"

namespace cornernet::cuda {

// [N, D, H, W] of any strides, as the network left it.
struct Map {
  const void* data;
  Dtype dtype;
  int64_t strides[4];
};

// What the network said of the corners of one kind.
struct Prediction {
  const void* scores;  // [N, count], contiguous as the indices
  Dtype score_dtype;
  const int64_t* indices;  // [N, count]
  int64_t count;
  Map embedding;
  Map offset;
};

struct DecodeSizes {
  int64_t n;
  int64_t channels;  // of the embeddings
  int64_t height;
  int64_t width;
  int64_t max_pairs;
};

// Whether the kernels can do it: so many pairs to choose from, and so many wanted.
bool corner_decode_fits(int64_t tl_count, int64_t br_count, int64_t max_pairs);

// wide: whether to compute in float64.
int64_t corner_decode_workspace(
    const Prediction& tl, const Prediction& br, const DecodeSizes& sizes, bool wide);

// boxes: [N, M, 4], scores: [N, M], float32 or float64; labels: [N, M]; all of them are written.
// There is at least one image, one cell and one pair. workspace: so many bytes as the function
// above says, from an address that is a multiple of 16. Nothing is waited for, nothing allocated.
cudaError_t corner_decode_cuda(
    cudaStream_t stream, const Prediction& tl, const Prediction& br, const DecodeSizes& sizes,
    double distance_threshold, bool wide, void* boxes, void* scores, int64_t* labels,
    void* workspace);

}  // namespace cornernet::cuda

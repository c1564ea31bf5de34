// corner_decode on CUDA: contract in cornernet_ops/corner_decode.py.
//
// The corners are gathered first, each by a thread, so that the pairs read a few hundred numbers
// from cache and not from maps. Then blocks take some thousand pairs each, keep the best of those
// that are valid, and their lists are merged.

#include <type_traits>

#include "../common/arithmetic.h"
#include "corner_decode.h"
#include "element.h"
#include "launch.h"
#include "top_k.h"

namespace cornernet::cuda {
namespace {

constexpr int kGatherThreads = 128;
// Pairs of a block.
constexpr int64_t kSlice = 2048;

// The corners of one kind, of all images.
template <typename W>
struct Corners {
  Corner<W>* corners;  // [N, count]
  W* embeddings;       // [N, count, channels]
  int64_t count;
  int64_t channels;
};

template <typename W>
__device__ W read(const void* data, Dtype dtype, int64_t at) {
  switch (dtype) {
    case Dtype::kHalf:
      return static_cast<W>(widen(static_cast<const Half*>(data)[at]));
    case Dtype::kBFloat16:
      return static_cast<W>(widen(static_cast<const BFloat16*>(data)[at]));
    case Dtype::kDouble:
      return static_cast<W>(static_cast<const double*>(data)[at]);
    default:
      return static_cast<W>(static_cast<const float*>(data)[at]);
  }
}

template <typename W>
__device__ W read(const StridedMap& map, int64_t n, int64_t d, int64_t y, int64_t x) {
  return read<W>(map.data, map.dtype, map.offset(n, d, y, x));
}

template <typename W>
__device__ void gather_corner(
    const CornerDecode& task, int kind, const Corners<W>& to, int64_t number) {
  const CornerPredictions& from = task.kinds[kind];
  const int64_t area = task.height * task.width;
  const int64_t n = number / from.count;
  const int64_t index = from.indices[number];
  if (!task.is_corner(kind, index)) {
    to.corners[number] = {-1, W(0), W(0), W(0)};
    return;
  }
  const int64_t cell = index % area;
  const int64_t y = cell / task.width;
  const int64_t x = cell % task.width;
  to.corners[number] = {
      index / area, static_cast<W>(x) + read<W>(from.offset, n, 0, y, x),
      static_cast<W>(y) + read<W>(from.offset, n, 1, y, x),
      read<W>(from.scores, from.score_dtype, number)};
  for (int64_t channel = 0; channel < to.channels; ++channel) {
    to.embeddings[number * to.channels + channel] = read<W>(from.embedding, n, channel, y, x);
  }
}

template <typename W>
__global__ void __launch_bounds__(kGatherThreads)
    gather_corners(CornerDecode task, Corners<W> tl_corners, Corners<W> br_corners) {
  const int64_t number = static_cast<int64_t>(blockIdx.x) * kGatherThreads + threadIdx.x;
  const int64_t first_br = task.n * tl_corners.count;
  if (number < first_br) {
    gather_corner(task, 0, tl_corners, number);
  } else if (number < first_br + task.n * br_corners.count) {
    gather_corner(task, 1, br_corners, number - first_br);
  }
}

// A block for each slice of each image's pairs.
template <typename W, typename Writer>
__global__ void __launch_bounds__(kSelectThreads)
    find_pairs(Corners<W> tl, Corners<W> br, int64_t slices, W threshold, int k, Writer writer) {
  __shared__ Held<W> held;
  const int64_t image = blockIdx.x / slices;
  const int64_t slice = blockIdx.x - image * slices;
  const int64_t end = min(tl.count * br.count, (slice + 1) * kSlice);
  Selection<W> selection(held, k);
  for (int64_t round = slice * kSlice; round < end; round += kRound) {
#pragma unroll
    for (int i = 0; i < kRound / kSelectThreads; ++i) {
      const int64_t pair = round + i * kSelectThreads + threadIdx.x;
      if (pair >= end) {
        continue;
      }
      const auto number = static_cast<uint32_t>(pair);
      const uint32_t tl_rank = number / static_cast<uint32_t>(br.count);
      const uint32_t br_rank = number - tl_rank * static_cast<uint32_t>(br.count);
      const int64_t tl_at = image * tl.count + tl_rank;
      const int64_t br_at = image * br.count + br_rank;
      const Corner<W> a = tl.corners[tl_at];
      const Corner<W> b = br.corners[br_at];
      if (a.label < 0 || a.label != b.label) {
        continue;
      }
      const W score = pair_score(a, b);
      const Candidate<W> candidate = Candidate<W>::of(score, number);
      // Written so that a NaN anywhere fails: that of a score would be better than all others.
      if (selection.wants(candidate) && score == score && makes_box(a, b) &&
          embedding_distance(
              tl.embeddings + tl_at * tl.channels, br.embeddings + br_at * br.channels,
              tl.channels) <= threshold) {
        selection.offer(candidate);
      }
    }
    selection.end_round();
  }
  write_selected(held, selection.settle(), k, image, slice, writer);
}

template <typename W>
struct PairWriter {
  Corners<W> tl;
  Corners<W> br;
  W* boxes;
  W* scores;
  int64_t* labels;
  int k;

  __device__ void operator()(int64_t image, int64_t, int i, const Candidate<W>* best) const {
    const int64_t at = image * k + i;
    Corner<W> a{-1, W(0), W(0), W(-1)};
    Corner<W> b = a;
    if (best != nullptr) {
      const int64_t pair = best->index();
      a = tl.corners[image * tl.count + pair / br.count];
      b = br.corners[image * br.count + pair % br.count];
    }
    boxes[4 * at] = a.x;
    boxes[4 * at + 1] = a.y;
    boxes[4 * at + 2] = b.x;
    boxes[4 * at + 3] = b.y;
    scores[at] = pair_score(a, b);
    labels[at] = a.label;
  }
};

int64_t rounded_up(int64_t bytes) {
  return ceil_div<int64_t>(bytes, 16) * 16;
}

// How the workspace is cut up; from a null pointer, how large it is.
template <typename W>
struct Workspace {
  Workspace(void* begin, const CornerDecode& task) : at(static_cast<char*>(begin)), bytes(0) {
    tl = take(task.kinds[0].count, task);
    br = take(task.kinds[1].count, task);
    slices = ceil_div<int64_t>(task.pairs(), kSlice);
    lists = at;
    bytes += list_bytes<W>(task.n, slices, task.max_pairs);
  }

  Corners<W> take(int64_t count, const CornerDecode& task) {
    const auto size = [](auto* type) { return static_cast<int64_t>(sizeof(*type)); };
    Corners<W> corners{};
    corners.count = count;
    corners.channels = task.channels;
    corners.corners = reinterpret_cast<Corner<W>*>(at);
    advance(task.n * count * size(corners.corners));
    corners.embeddings = reinterpret_cast<W*>(at);
    advance(task.n * count * task.channels * size(corners.embeddings));
    return corners;
  }

  void advance(int64_t by) {
    bytes += rounded_up(by);
    at = at == nullptr ? nullptr : at + rounded_up(by);
  }

  char* at;
  int64_t bytes;
  Corners<W> tl;
  Corners<W> br;
  int64_t slices;
  void* lists;
};

template <typename W>
cudaError_t decode(cudaStream_t stream, const CornerDecode& task, void* begin) {
  const Workspace<W> workspace(begin, task);
  const int64_t corners = task.n * (task.kinds[0].count + task.kinds[1].count);
  const int64_t blocks = ceil_div<int64_t>(corners, kGatherThreads);
  if (!fits_grid(blocks)) {
    return cudaErrorInvalidConfiguration;
  }
  const auto gather = gather_corners<W>;
  CUDA_LAUNCH(gather, blocks, kGatherThreads, stream, task, workspace.tl, workspace.br);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) {
    return error;
  }
  const int k = static_cast<int>(task.max_pairs);
  const W threshold = static_cast<W>(task.distance_threshold);
  const PairWriter<W> last{
      workspace.tl,
      workspace.br,
      static_cast<W*>(task.boxes),
      static_cast<W*>(task.scores),
      task.labels,
      k};
  return select<W>(
      stream, task.n, workspace.slices, k, workspace.lists,
      [&](const auto& writer) {
        const auto kernel = find_pairs<W, std::decay_t<decltype(writer)>>;
        CUDA_LAUNCH(
            kernel, task.n * workspace.slices, kSelectThreads, stream, workspace.tl, workspace.br,
            workspace.slices, threshold, k, writer);
      },
      last);
}

}  // namespace

bool corner_decode_fits(const CornerDecode& task) {
  constexpr int64_t kMost = 0xffffffff;  // below it, numbers of pairs
  return task.kinds[0].count < kMost / task.kinds[1].count && task.max_pairs <= kMostSelected;
}

int64_t corner_decode_workspace(const CornerDecode& task) {
  return task.dtype == Dtype::kDouble ? Workspace<double>(nullptr, task).bytes
                                      : Workspace<float>(nullptr, task).bytes;
}

cudaError_t launch_corner_decode(cudaStream_t stream, const CornerDecode& task, void* workspace) {
  return task.dtype == Dtype::kDouble ? decode<double>(stream, task, workspace)
                                      : decode<float>(stream, task, workspace);
}

}  // namespace cornernet::cuda

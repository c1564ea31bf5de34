// The best k of every image when all SPEs search parts of them: who searches what, and how their
// lists become one.
#pragma once

#include "../common/arithmetic.h"
#include "partition.h"
#include "top_k.h"

namespace cornernet::sdaa {

constexpr int kPiece = 512;  // entries of a list that are loaded at once
constexpr int kScratchBytes = kPiece * sizeof(Ranked);

// Images of so many rows each (of whatever they consist of), partitioned evenly in one sequence.
class ImagePartition {
 public:
  // Of at least one image and row.
  __device__ ImagePartition(int64_t images, int64_t rows_per_image)
      : images_(images),
        rows_per_image_(rows_per_image),
        rows_(images * rows_per_image),
        me_(partition_index()) {}

  __device__ int64_t me() const { return me_; }

  // Calls body(image, begin, end) for all images that this SPE is among the owners of: with its
  // rows there, which may be none where there are fewer rows than SPEs.
  template <typename Body>
  __device__ void for_each_image(Body body) const {
    const int64_t begin = begin_of(me_);
    const int64_t end = begin_of(me_ + 1);
    const int64_t last = min(end / rows_per_image_, images_ - 1);
    for (int64_t i = min(begin / rows_per_image_, images_ - 1); i <= last; ++i) {
      if (first_owner(i) <= me_ && me_ <= last_owner(i)) {
        const int64_t first = i * rows_per_image_;
        body(i, max(begin, first) - first, min(end - first, rows_per_image_));
      }
    }
  }

  // The last owner of an image is at most the first of the next.
  __device__ int64_t first_owner(int64_t image) const { return owner(image * rows_per_image_); }
  __device__ int64_t last_owner(int64_t image) const {
    return owner((image + 1) * rows_per_image_ - 1);
  }
  // Who ends up with the list of all of an image: not one that has merged others' before.
  __device__ int64_t merger(int64_t image) const {
    return min(first_owner(image) + 1, last_owner(image));
  }

 private:
  __device__ int64_t begin_of(int64_t spe) const {
    return rows_ * spe / static_cast<int64_t>(threadDim);
  }
  __device__ int64_t owner(int64_t row) const {
    return ((row + 1) * static_cast<int64_t>(threadDim) - 1) / rows_;
  }

  int64_t images_;
  int64_t rows_per_image_;
  int64_t rows_;
  int64_t me_;
};

// The SPEs' lists in Global memory, each its length and then its entries. That of an SPE and a
// image has the sum of their numbers, which no other has, because owners follow the images.
class Lists {
 public:
  static constexpr int kMostKept = 8192;  // of k: a list of 64 KB

  // Bytes.
  __device__ __host__ static int64_t workspace(int64_t images, int64_t k) {
    constexpr int64_t kSpes = 32;
    return (images + kSpes) * (k + 1) * static_cast<int64_t>(sizeof(Ranked));
  }

  __device__ Lists(char* workspace, int64_t k)
      : workspace_(workspace), k_(static_cast<int>(k)), bytes_((k + 1) * sizeof(Ranked)) {}

  __device__ int k() const { return k_; }

  template <typename T>
  __device__ void write(int64_t spe, int64_t image, const TopK<T>& list, char* scratch) const {
    char* place = place_of(spe, image);
    Ranked* head = reinterpret_cast<Ranked*>(scratch);
    *head = {list.count(), 0};
    memcpy(place, head, sizeof(Ranked));
    if (list.count() > 0) {
      memcpy(place + sizeof(Ranked), list.kept(), list.count() * sizeof(Ranked));
    }
  }

  template <typename T>
  __device__ void offer(int64_t spe, int64_t image, TopK<T>& best, char* scratch) const {
    const char* place = place_of(spe, image);
    Ranked* piece = reinterpret_cast<Ranked*>(scratch);
    memcpy(piece, place, sizeof(Ranked));
    const int count = piece->bits;
    for (int first = 0; first < count; first += kPiece) {
      const int entries = min(kPiece, count - first);
      memcpy(piece, place + (1 + first) * sizeof(Ranked), entries * sizeof(Ranked));
      for (int i = 0; i < entries; ++i) {
        best.offer(piece[i]);
      }
    }
  }
  // Loads `count` entries of a list from entry `first` on, or as many as there are.
  __device__ int read(int64_t spe, int64_t image, int64_t first, int count, Ranked* entries) const {
    const char* place = place_of(spe, image);
    memcpy(entries, place, sizeof(Ranked));
    const int64_t left = max<int64_t>(entries->bits - first, 0);
    const int found = static_cast<int>(min<int64_t>(count, left));
    if (found > 0) {
      memcpy(entries, place + (1 + first) * sizeof(Ranked), found * sizeof(Ranked));
    }
    return found;
  }

 private:
  __device__ char* place_of(int64_t spe, int64_t image) const {
    return workspace_ + (spe + image) * bytes_;
  }

  char* workspace_;
  int k_;
  int64_t bytes_;
};

// Merges the lists of every image, once all SPEs have written theirs and a barrier has passed;
// one SPE calls body(image, best) with the result, sorted. In two rounds, because an SPE that
// read all 32 lists would be far busier than the others. `list` has room for k entries.
template <typename T, typename Body>
__device__ void merge_lists(
    const ImagePartition& partition, const Lists& lists, Ranked* list, char* scratch, Body body) {
  constexpr int64_t kAtOnce = 6;
  const auto merge = [&](int64_t image, int64_t first, int64_t last, int64_t step) {
    TopK<T> best(list, lists.k());
    for (int64_t spe = first; spe <= last; spe += step) {
      lists.offer(spe, image, best, scratch);
    }
    return best;
  };

  // Where many SPEs share an image, every sixth takes the lists of those up to the next sixth.
  partition.for_each_image([&](int64_t image, int64_t, int64_t) {
    const int64_t first = partition.first_owner(image);
    const int64_t last = partition.last_owner(image);
    if (last - first >= kAtOnce && (partition.me() - first) % kAtOnce == 0) {
      const int64_t end = min(last, partition.me() + kAtOnce - 1);
      lists.write(partition.me(), image, merge(image, partition.me(), end, 1), scratch);
    }
  });
  sync_threads();

  partition.for_each_image([&](int64_t image, int64_t, int64_t) {
    const int64_t first = partition.first_owner(image);
    const int64_t last = partition.last_owner(image);
    if (partition.me() == partition.merger(image)) {
      TopK<T> best = merge(image, first, last, last - first >= kAtOnce ? kAtOnce : 1);
      best.sort();
      body(image, best);
    }
  });
}

}  // namespace cornernet::sdaa

// The best k of every picture when all SPEs look at parts of them: who looks at what, and how their
// lists become one.
#pragma once

#include "../common/arithmetic.h"
#include "share.h"
#include "top_k.h"

namespace cornernet {

constexpr int kPiece = 512;  // entries of a list that are brought at once
constexpr int kScratchBytes = kPiece * sizeof(Ranked);

// Pictures of so many rows each (of whatever they consist of), shared out evenly in one sequence.
class Shares {
 public:
  // Of at least one picture and row.
  __device__ Shares(int64_t pictures, int64_t rows_per_picture)
      : pictures_(pictures), rows_per_picture_(rows_per_picture),
        rows_(pictures * rows_per_picture), me_(place_in_shares()) {}

  __device__ int64_t me() const { return me_; }

  // Calls body(picture, begin, end) for all pictures that this SPE is among the owners of: with its
  // rows there, which may be none where there are fewer rows than SPEs.
  template <typename Body>
  __device__ void for_each_picture(Body body) const {
    const int64_t begin = begin_of(me_);
    const int64_t end = begin_of(me_ + 1);
    const int64_t last = smaller(end / rows_per_picture_, pictures_ - 1);
    for (int64_t i = smaller(begin / rows_per_picture_, pictures_ - 1); i <= last; ++i) {
      if (first_owner(i) <= me_ && me_ <= last_owner(i)) {
        const int64_t first = i * rows_per_picture_;
        body(i, larger(begin, first) - first, smaller(end - first, rows_per_picture_));
      }
    }
  }

  // The last owner of a picture is at most the first of the next.
  __device__ int64_t first_owner(int64_t picture) const {
    return owner(picture * rows_per_picture_);
  }
  __device__ int64_t last_owner(int64_t picture) const {
    return owner((picture + 1) * rows_per_picture_ - 1);
  }
  // Who ends up with the list of all of a picture: not one that has merged others' before.
  __device__ int64_t merger(int64_t picture) const {
    return smaller(first_owner(picture) + 1, last_owner(picture));
  }

 private:
  __device__ int64_t begin_of(int64_t spe) const {
    return rows_ * spe / static_cast<int64_t>(threadDim);
  }
  __device__ int64_t owner(int64_t row) const {
    return ((row + 1) * static_cast<int64_t>(threadDim) - 1) / rows_;
  }

  int64_t pictures_;
  int64_t rows_per_picture_;
  int64_t rows_;
  int64_t me_;
};

// The SPEs' lists in Global memory, each its length and then its entries. That of an SPE and a
// picture has the sum of their numbers, which no other has, because owners follow the pictures.
class Lists {
 public:
  static constexpr int kMostKept = 8192;  // of k: a list of 64 KB

  // Bytes.
  __device__ __host__ static int64_t workspace(int64_t pictures, int64_t k) {
    constexpr int64_t kSpes = 32;
    return (pictures + kSpes) * (k + 1) * static_cast<int64_t>(sizeof(Ranked));
  }

  __device__ Lists(char* workspace, int64_t k)
      : workspace_(workspace), k_(static_cast<int>(k)), bytes_((k + 1) * sizeof(Ranked)) {}

  __device__ int k() const { return k_; }

  template <typename T>
  __device__ void write(int64_t spe, int64_t picture, const TopK<T>& list, char* scratch) const {
    char* place = place_of(spe, picture);
    Ranked* head = reinterpret_cast<Ranked*>(scratch);
    *head = {list.count(), 0};
    memcpy(place, head, sizeof(Ranked));
    if (list.count() > 0) {
      memcpy(place + sizeof(Ranked), list.kept(), list.count() * sizeof(Ranked));
    }
  }

  template <typename T>
  __device__ void offer(int64_t spe, int64_t picture, TopK<T>& best, char* scratch) const {
    const char* place = place_of(spe, picture);
    Ranked* piece = reinterpret_cast<Ranked*>(scratch);
    memcpy(piece, place, sizeof(Ranked));
    const int count = piece->bits;
    for (int first = 0; first < count; first += kPiece) {
      const int entries = smaller(kPiece, count - first);
      memcpy(piece, place + (1 + first) * sizeof(Ranked), entries * sizeof(Ranked));
      for (int i = 0; i < entries; ++i) {
        best.offer(piece[i]);
      }
    }
  }
  // Brings `count` entries of a list from entry `first` on, or as many as there are.
  __device__ int read(
      int64_t spe, int64_t picture, int64_t first, int count, Ranked* entries) const {
    const char* place = place_of(spe, picture);
    memcpy(entries, place, sizeof(Ranked));
    const int64_t left = larger<int64_t>(entries->bits - first, 0);
    const int found = static_cast<int>(smaller<int64_t>(count, left));
    if (found > 0) {
      memcpy(entries, place + (1 + first) * sizeof(Ranked), found * sizeof(Ranked));
    }
    return found;
  }

 private:
  __device__ char* place_of(int64_t spe, int64_t picture) const {
    return workspace_ + (spe + picture) * bytes_;
  }

  char* workspace_;
  int k_;
  int64_t bytes_;
};

// Merges the lists of every picture, once all SPEs have written theirs and a barrier has passed;
// one SPE calls body(picture, best) with the result, sorted. In two rounds, because an SPE that
// read all 32 lists would be far busier than the others. `list` has room for k entries.
template <typename T, typename Body>
__device__ void merge_lists(
    const Shares& shares, const Lists& lists, Ranked* list, char* scratch, Body body) {
  constexpr int64_t kAtOnce = 6;
  const auto merge = [&](int64_t picture, int64_t first, int64_t last, int64_t step) {
    TopK<T> best(list, lists.k());
    for (int64_t spe = first; spe <= last; spe += step) {
      lists.offer(spe, picture, best, scratch);
    }
    return best;
  };

  // Where many SPEs share a picture, every sixth takes the lists of those up to the next sixth.
  shares.for_each_picture([&](int64_t picture, int64_t, int64_t) {
    const int64_t first = shares.first_owner(picture);
    const int64_t last = shares.last_owner(picture);
    if (last - first >= kAtOnce && (shares.me() - first) % kAtOnce == 0) {
      const int64_t end = smaller(last, shares.me() + kAtOnce - 1);
      lists.write(shares.me(), picture, merge(picture, shares.me(), end, 1), scratch);
    }
  });
  sync_threads();

  shares.for_each_picture([&](int64_t picture, int64_t, int64_t) {
    const int64_t first = shares.first_owner(picture);
    const int64_t last = shares.last_owner(picture);
    if (shares.me() == shares.merger(picture)) {
      TopK<T> best = merge(picture, first, last, last - first >= kAtOnce ? kAtOnce : 1);
      best.sort();
      body(picture, best);
    }
  });
}

}  // namespace cornernet

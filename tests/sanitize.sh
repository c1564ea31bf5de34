#!/usr/bin/env bash
# The tests of the ops on kernels that watch themselves: `make sanitize`, or
#
#     PYTHON=.venv/bin/python tests/sanitize.sh [address] [thread] [-- ARGUMENTS OF PYTEST]
#
# Each in a copy of the tree under build/sanitize, so that the installed package stays as it
# is, and with the vectors of this processor and with those that every processor has:
#
# address  AddressSanitizer and UndefinedBehaviorSanitizer. That no test makes a kernel read or
#          write beside its memory, or rely on what C++ leaves undefined. Prefetching beyond the end
#          of a tensor is neither: it is a hint, and no access.
# thread   ThreadSanitizer. That no two threads of one call touch the same memory without an order
#          between them. OpenMP's own barriers are invisible to it, so parallel_for is replaced by
#          tests/sanitize/ATen/Parallel.h, which runs the same kernels on threads that it sees, four
#          for every call; torch itself, which is not built for it, keeps to one thread. So it says
#          nothing about OpenMP and torch, but that our work is cut into pieces that do not meet.
#
# Leaks are not looked for: Python and torch keep memory until the process ends, and the kernels own
# none but in vectors and tensors. GCC's runtimes have to be loaded before Python, which is not built
# with them: hence LD_PRELOAD; libstdc++ with them, or they miss its exceptions.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=()
while (($#)) && [[ $1 != -- ]]; do wanted+=("$1"); shift; done
if (($#)); then shift; fi
((${#wanted[@]})) || wanted=(address thread)
tests=("$@")
((${#tests[@]})) || tests=(tests/ops)

python=$(realpath -s "$(command -v "${PYTHON:-python3}")")
compiler=${CXX:-c++}
runtime() { "$compiler" -print-file-name="lib$1.so"; }

# ThreadSanitizer's memory map has no room for the addresses that newer kernels draw at random.
fixed=()
if setarch -R true 2>/dev/null; then fixed=(setarch -R); fi

check() {  # NAME, FLAGS of the compiler, RUNTIMES; the environment holds their options
  local name=$1 flags=$2 preload="" tree="build/sanitize/$1"
  shift 2
  for library in "$@" stdc++; do preload+="$(runtime "$library") "; done
  rm -rf "$tree"
  mkdir -p "$tree"
  git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$tree"
  (
    cd "$tree"
    CORNERNET_OPS_BUILD=cpu CXX="$compiler" CFLAGS="$flags" LDFLAGS="$flags" \
      "$python" setup.py -q build_ext --inplace > build.log 2>&1 || { tail -40 build.log; exit 1; }
    # The slow tests compile with inductor: a compiler under a sanitizer proves nothing of ours.
    # What a sanitizer has to say before it ends the process must not be captured.
    run() {
      env LD_PRELOAD="$preload" "$@" "${fixed[@]}" \
        "$python" -m pytest -q --capture=sys -p no:cacheprovider -m "not slow" "${tests[@]}"
    }
    echo "== $name, the vectors of this processor"
    run
    echo "== $name, the vectors of every processor"
    run ATEN_CPU_CAPABILITY=default
  )
}

for name in "${wanted[@]}"; do
  case $name in
    address)
      export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
      check address "-fsanitize=address,undefined -fno-sanitize=vptr \
-fno-sanitize-recover=undefined -fno-omit-frame-pointer" asan ubsan
      ;;
    thread)
      export OMP_NUM_THREADS=1 TSAN_OPTIONS="halt_on_error=1 ignore_noninstrumented_modules=1"
      check thread "-fsanitize=thread -I$PWD/tests/sanitize" tsan
      ;;
    *)
      echo "sanitize: expected address or thread, got $name" >&2
      exit 2
      ;;
  esac
done

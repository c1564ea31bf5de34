#!/usr/bin/env bash
# The ops and the whole detector on device `sdaa`, without a card: `make test-sdaa`, or
#
#     PYTHON=.venv/bin/python bash tests/sdaa.sh [ARGUMENTS OF PYTEST]
#
# PYTHON is of an environment with torch and what the tests need. Nothing is installed there: an
# environment of its own, under build/sdaa, sees those packages and gets the simulator's torch_sdaa
# and the package, which is built as on a machine with a card. Then tests/sdaa runs
#
# kernels      on the compiled kernels;
# references   without them, as where the toolkit has no compiler; one process, as what several
#              exchange has nothing to do with kernels;
# protected    the ops once more, with device memory that the host cannot touch.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(realpath -s "$(command -v "${PYTHON:-python3}")")
name=$("$python" -c 'import platform, torch; print(torch.__version__, platform.python_version(), sep="-py")')
folder=$PWD/build/sdaa/$name
tree=$folder/tree
bin=$folder/venv/bin

# A copy of the tree: what is compiled here would have the names of what is compiled for .venv.
rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$tree"
cd "$tree"

test -x "$bin/python" || "$python" -m venv "$folder/venv"
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), sep="\n")' \
  | sort -u > "$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth"

quietly() {  # LOG, COMMAND: its output, should it fail
  local log=$folder/$1
  shift
  "$@" > "$log" 2>&1 || { tail -60 "$log"; exit 1; }
}
export SDAA_HOME=$tree/tests/sdaa_simulator/toolkit
quietly simulator.log "$bin/python" -m tests.sdaa_simulator.install
quietly package.log "$bin/python" -m pip install --disable-pip-version-check --verbose --no-deps -e .
"$bin/python" -m cornernet_ops

# Both passes at once, each on one thread: most of their time passes in Python.
export OMP_NUM_THREADS=1
run() { "$bin/python" -m pytest -p no:cacheprovider "$@"; }
{
  CORNERNET_OPS_FORCE_REFERENCE=1 run tests/sdaa/test_ops.py tests/sdaa/test_detector.py \
    -k "not processes" "$@" &&
    SDAA_SIM_PROTECT=1 run tests/sdaa/test_ops.py "$@"
} > "$folder/second.log" 2>&1 &
second=$!
failed=0
echo "== kernels"
run tests/sdaa "$@" || failed=1
wait "$second" || failed=1
echo "== references, protected"
cat "$folder/second.log"
exit "$failed"

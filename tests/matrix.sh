#!/usr/bin/env bash
# Install and test on the oldest, a middle and the newest PyTorch: `make test-matrix [ROWS="2.4.0"]`.
# Downloads a few gigabytes a row. Each row works on a copy of the tree, because compiled files of
# two PyTorch versions for one Python would have the same name.
set -euo pipefail
cd "$(dirname "$0")/.."

# PyTorch, Python, and whether Tecorigin has a torch_sdaa for it: then the tests on the simulated
# card are run too. PYTHON_3_10=/path/to/python names an interpreter that is not on the PATH.
matrix=("2.4.0 3.10 sdaa" "2.7.1 3.11 sdaa" "2.15.0 3.12")

results=()
failed=0
for row in "${matrix[@]}"; do
  read -r torch version device <<<"$row"
  if [[ -n "${ROWS:-}" && " $ROWS " != *" $torch "* ]]; then
    continue
  fi
  variable="PYTHON_${version//./_}"
  python="${!variable:-python$version}"
  folder="build/matrix/$torch"
  echo "== torch $torch on $("$python" --version)"
  rm -rf "$folder/tree"
  mkdir -p "$folder/tree"
  git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$folder/tree"
  test -x "$folder/venv/bin/python" || "$python" -m venv "$folder/venv"
  bin="$PWD/$folder/venv/bin"
  if (
    set -e
    cd "$folder/tree"
    # Not constraints.txt, which pins the version of the everyday environment.
    "$bin/python" -m pip install -q --disable-pip-version-check "torch==$torch"
    "$bin/python" -m pip install -q --disable-pip-version-check -e '.[dev]' "torch==$torch"
    "$bin/python" -m cornernet_ops
    "$bin/python" -m pytest -q
    if [[ "$device" == sdaa ]]; then
      PYTHON="$bin/python" bash "$OLDPWD/tests/sdaa.sh" -q
    fi
  ); then
    results+=("torch $torch, Python $version: passed")
  else
    results+=("torch $torch, Python $version: FAILED")
    failed=1
  fi
done
printf '%s\n' "${results[@]}"
exit "$failed"

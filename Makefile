# Two commands do all the set-up: `make demo` and `make test`. Both make .venv if need be.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

# What the compiled ops are made of: the package is installed again when one of these changes.
SOURCES := $(shell find csrc -type f) setup.py build_backend.py cornernet_ops/devices.py \
  pyproject.toml constraints.txt

.PHONY: help install demo test test-stress fuzz test-sdaa test-matrix sanitize cuda-compile lint clean

help:
	@echo "make demo         train a small CornerNet on drawn shapes, about 5 minutes on 2 cores"
	@echo "make test         ruff, mypy and all tests, at most 12 minutes on 2 cores"
	@echo "make install      $(VENV) with the package, ready to use"
	@echo "make test-stress  runs that are killed at many moments and continued, several minutes"
	@echo "make fuzz         random broken files and arguments for SECONDS=60 or longer"
	@echo "make test-sdaa    the ops and the detector on a simulated SDAA card, 3 minutes on 2 cores"
	@echo "make test-matrix  the tests on the oldest to the newest PyTorch; downloads gigabytes"
	@echo "make sanitize     the ops' tests under GCC's address, undefined and thread sanitizers, 10 minutes"
	@echo "make cuda-compile the CUDA kernels by nvcc, for three generations of GPUs; needs no GPU"
	@echo "make clean        remove build products and $(VENV)"

install: $(VENV)/.installed

$(VENV)/.installed: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "make: expected Python 3.10 or newer, got $$($(PYTHON) --version);" \
	         "run make PYTHON=python3.x"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --quiet torch
	$(PIP) --verbose -e . > $(VENV)/install.log 2>&1 || { tail -40 $(VENV)/install.log; exit 1; }
	@grep -ho 'cornernet_ops: .*' $(VENV)/install.log || true
	@touch $@

# Only what the extra names: the package is there, and nothing is built again.
$(VENV)/.dev: $(VENV)/.installed
	$(PIP) --quiet 'cornernet[dev]'
	@touch $@

# The last line is the result: AP >= 0.60 on pictures that the network has not seen.
demo: $(VENV)/.installed
	rm -rf runs/demo runs/demo-shapes
	$(BIN)/cornernet data synthesize runs/demo-shapes
	$(BIN)/cornernet train tiny --data runs/demo-shapes --output runs/demo --device cpu
	$(BIN)/cornernet evaluate runs/demo/best.pt --data runs/demo-shapes --device cpu \
	  --metrics runs/demo/metrics.json
	@echo "look at runs/demo/predictions.png and runs/demo/curves.png"
	@$(BIN)/python -c 'import json; m = json.load(open("runs/demo/metrics.json")); \
	  print("demo: AP={AP:.3f} AP50={AP50:.3f}".format(**m))'

test: $(VENV)/.dev lint
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# CORNERNET_CRASHES=N sets how many random moments are tried.
test-stress: $(VENV)/.dev
	$(BIN)/python -m pytest -m stress

# Prints the seed of a finding, which runs again by `python -m tests.fuzz --target NAME --again SEED`.
SECONDS ?= 60
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# What it builds and runs: tests/sdaa.sh.
test-sdaa: $(VENV)/.dev
	PYTHON=$(BIN)/python bash tests/sdaa.sh

# Each line: a Python, a torch. See tests/matrix.sh.
test-matrix:
	bash tests/matrix.sh

# What it looks for and what that proves: tests/sanitize.sh.
sanitize: $(VENV)/.dev
	PYTHON=$(BIN)/python bash tests/sanitize.sh

cuda-compile: $(VENV)/.dev
	$(BIN)/python -m pytest -rs tests/cuda_on_host/test_cuda_compile.py

clean:
	rm -rf $(VENV) build *.egg-info cornernet_ops/_C*.so cornernet_ops/_build.json .pytest_cache .mypy_cache .ruff_cache

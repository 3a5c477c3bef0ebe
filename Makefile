# Each target works alone on a fresh machine with Python 3.11 or later, make and PyPI.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
# setuptools warns on each editable install that folders are named like packages, as they must be
INSTALL = PYTHONWARNINGS='ignore:Editable installation' $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Tests that `test` skips without torch.
NETS = tests/splitnn tests/cli/test_nets.py tests/cli/test_audit.py tests/test_architecture.py \
       tests/bench/test_bench.py tests/test_docs.py::test_python_blocks_run \
       tests/test_examples.py::test_trees_and_a_network_are_compared

# The version that the tests are run with. PyPI's brings CUDA along; for the CPU build, a tenth of it:
# make test-nn TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH ?= torch==2.13.0
TORCH_INDEX ?=

.PHONY: demo test test-nn lint types unit kernels clean
.DELETE_ON_ERROR:

$(VENV)/.core: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "SecureBoost needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 " + "$(MAKECMDGOALS)")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip setuptools
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(INSTALL) --editable '.[dev]'
	@touch $@

demo: $(VENV)/.core ## two companies' processes train one credit model
	$(BIN)/secureboost demo

$(VENV)/.nn: $(VENV)/.dev
	$(INSTALL) $(TORCH_INDEX:%=--extra-index-url %) $(TORCH) --editable '.[nn,dp,onnx]'
	@touch $@

test: lint types unit kernels ## all that must hold before a change lands

test-nn: $(VENV)/.nn ## split neural networks: installs torch and runs what `test` skips without it
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(JOBS) -q $(NETS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) -q

kernels: $(VENV)/.dev
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -n $(JOBS) -q -m kernels

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .hypothesis

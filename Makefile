# Two promises: `make demo` and `make test` work on a fresh machine with Python >= 3.11 and git alone.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# Tests mostly wait for servers: more at once than a small machine has cores. One file stays in one process.
# WORKERS=0: all in one.
WORKERS ?= 3

.PHONY: help demo test again check testbed soak benchmarks schemas lock clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

demo: $(VENV)/demo  ## set up, then pull, verify, serve, measure and tune a small model on this machine
	$(BIN)/lading demo

test: check  ## set up, then check and test everything that this machine can run
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

again: $(VENV)/test  ## run what failed last once more, one at a time; fails where nothing is known to have failed
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none -v $(TESTS)

check: $(VENV)/test  ## format, lint, types (the layers are checked by a test)
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy

testbed: $(VENV)/test  ## the real parts that tests talk to: MinIO, a browser, a Kubernetes cluster
	$(BIN)/python -m tests.testbed

soak: $(VENV)/test  ## kills and fuzzing in full counts (long)
	LADING_SOAK=1 $(BIN)/python -m pytest --timeout=3600 $(TESTS)

schemas: $(VENV)/test  ## write docs/schemas again, after a change on purpose
	$(BIN)/lading schema --write docs/schemas

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-emit-find-links --custom-compile-command "make lock"
DEMO := pyproject.toml --extra demo --group build
# The image has what is tested: its versions are those of test.txt.
SAME := --constraint requirements/test.txt
lock:  ## lock the dependencies again (needs uv)
	$(LOCK) $(DEMO) --upgrade -o requirements/demo.txt
	$(LOCK) $(DEMO) --upgrade --group dev -o requirements/test.txt
	$(LOCK) pyproject.toml --extra signing --extra zstd $(SAME) -o requirements/image.txt
	$(LOCK) --group build $(SAME) -o requirements/build.txt

clean:  ## remove what was set up here
	rm -rf $(VENV) .testbed lading-demo .mypy_cache .ruff_cache .hypothesis

# test.txt holds all of demo.txt: either stamp gives a `lading` that can do the demo.
$(VENV)/demo: requirements/demo.txt pyproject.toml
	@test -e $(VENV)/test || $(MAKE) --no-print-directory $(VENV)/demo.only
	@touch $@

$(VENV)/demo.only: | $(VENV)/bin/python
	$(PIP) install --quiet --require-hashes -r requirements/demo.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .

$(VENV)/test: requirements/test.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet --require-hashes -r requirements/test.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Lading needs Python 3.11 or newer, $(PYTHON) is {v.major}.{v.minor}: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

# Two commands on a fresh machine: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := -m pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-python test-lowest test-isa check fuzz format bench lock docs clean

demo: $(VENV)/ready  ## see it work on generated images: a table, and demo/index.html
	$(BIN)/tacit demo

test: $(VENV)/ready  ## run all tests
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST)

test-python:  ## the same on another Python: make test-python PYTHON=python3.12
	$(MAKE) test VENV=build/$(notdir $(PYTHON))

test-lowest: $(VENV)/ready  ## the same with the lowest versions that pyproject.toml allows
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) build/lowest
	$(BIN)/uv pip install --quiet --python build/lowest/bin/python --resolution lowest-direct \
		--group test -e .
	OMP_NUM_THREADS=1 build/lowest/bin/python $(PYTEST)

test-isa: $(VENV)/ready  ## run the tests that compare digits as on other processors
	$(BIN)/python tests/instruction_sets.py

check: $(VENV)/ready  ## format, lint, types, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/sphinx-build -W -q -b html docs build/docs

fuzz: $(VENV)/ready  ## read 30,000 files that were changed at random
	PYTHONPATH=tests:tests/support OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m fuzz.attack --cases 30000

format: $(VENV)/ready  ## bring all files into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/ready  ## measure ratios to the end; fails below the bars that hold on this processor
	$(BIN)/python bench/run_all.py

lock: $(VENV)/ready  ## resolve dependencies anew
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --group dev \
		--quiet pyproject.toml --output-file requirements.lock

clean:  ## remove what was built, the environment included
	rm -rf $(VENV) build demo

# The lock file names every version with its hash, so every machine gets the same bytes.
$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/^    # via/p' requirements.lock > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $(VENV)/ready

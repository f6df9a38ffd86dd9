# Two commands on a fresh machine: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-isa check fuzz format bench lock docs clean

demo: .venv/ready  ## see it work on generated images: a table, and demo/index.html
	$(BIN)/tacit demo

test: .venv/ready  ## run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-isa: .venv/ready  ## run the tests that compare digits as on other processors
	$(BIN)/python tests/instruction_sets.py

check: .venv/ready  ## format, lint, types, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/sphinx-build -W -q -b html docs build/docs

fuzz: .venv/ready  ## read 30,000 files that were changed at random
	PYTHONPATH=tests:tests/support OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m fuzz.attack --cases 30000

format: .venv/ready  ## bring all files into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/ready  ## measure ratios to the end; fails below the bars that hold on this processor
	$(BIN)/python bench/run_all.py

lock: .venv/ready  ## resolve dependencies anew
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --group dev \
		--quiet pyproject.toml --output-file requirements.lock

clean:  ## remove what was built, the environment included
	rm -rf .venv build demo

# The lock file names every version with its hash, so every machine gets the same bytes.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/^    # via/p' requirements.lock > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch .venv/ready

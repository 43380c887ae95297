# Two commands for everybody: `make demo` and `make test`. The rest is for those who change the code.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo install check format test slow fuzz gpu bench clean

demo: install
	$(BIN)/python examples/demo.py

install: $(BIN)/.installed

$(BIN)/.installed: pyproject.toml constraints.txt tools/install.sh
	PYTHON=$(PYTHON) sh tools/install.sh $(VENV)
	touch $@

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell vidsr tests docs tools examples pipelines configs README.md CHANGELOG.md
	$(BIN)/mypy

# Processes that share the tests, each with one thread of its own.
JOBS ?= 2

test: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(JOBS)

slow: install
	$(BIN)/pytest -q -m slow

fuzz: install
	VIDSR_FUZZ_SECONDS=60 VIDSR_FUZZ_SEED=1000 $(BIN)/pytest -q tests/fuzz

gpu: install
	VIDSR_REQUIRE_GPU=1 $(BIN)/pytest -q -m gpu

bench: install
	$(BIN)/python -m tests.bench.end_to_end

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info

# make book: run the chapters and build the book. make test: everything CI checks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: all book test lint bench clean
all: book

$(VENV)/.installed: requirements.txt constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

book: $(VENV)/.installed
	$(BIN)/reviewlib build

test: lint
	$(BIN)/python -m pytest --nbmake -n 2 --dist loadgroup

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/.installed
	@failed=; for file in benchmarks/*.py; do echo "== $$file"; \
	  $(BIN)/python "$$file" || failed="$$failed $$file"; done; \
	  if [ -n "$$failed" ]; then echo "out of bounds or failed:$$failed"; exit 1; fi

# keeps the environment
clean:
	rm -rf _build _build.failed _executed .pytest_cache .ruff_cache .hypothesis

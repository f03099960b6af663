# `make demo` and `make test` do all the set-up themselves: a virtual environment in .venv with pinned versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test lint format types contracts bench tables lock clean help
.DEFAULT_GOAL := help

help:  ## Say what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed; make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(STAMP)  ## Install into .venv

demo: $(STAMP)  ## Run the baselines of four tasks on embedded challenges, with reports, one table of scores and leaderboards
	$(BIN)/vipriors run digits baseline --rehearse --floors --seed 0 --out demo/digits --overwrite
	@# Two trainings side by side, each on one core: what the first says is shown when both are done.
	@$(BIN)/vipriors run digits-segmentation baseline --floors --seed 0 --threads 1 --out demo/digits-segmentation --overwrite > demo/digits-segmentation.txt 2>&1 & first=$$!; \
	trap 'kill $$first' INT TERM; \
	echo "$(BIN)/vipriors run digits-segmentation baseline --floors … (beside the next)"; \
	echo "$(BIN)/vipriors run digits-detection baseline --floors …"; \
	$(BIN)/vipriors run digits-detection baseline --floors --seed 0 --threads 1 --out demo/digits-detection --overwrite; second=$$?; \
	wait $$first; status=$$?; cat demo/digits-segmentation.txt; exit $$((status + second))
	$(BIN)/vipriors run digits-actions baseline --floors --seed 0 --threads 1 --out demo/digits-actions --overwrite
	$(BIN)/vipriors list runs demo
	$(BIN)/python examples/local_board.py demo

test: lint types contracts  ## Lint, types, import directions and all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

format: $(STAMP)  ## Format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## Measure speed beside peers and write benchmarks/README.md
	$(BIN)/python benchmarks/measure.py

tables: $(STAMP)  ## Write the tables of results/README.md and docs/systems.md from cards and stored records
	$(BIN)/python -m vipriors.bench.summary results/README.md
	$(BIN)/python -m vipriors.bench.systems docs/systems.md

lock: $(STAMP)  ## Refresh constraints.txt with the newest versions that work together
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --universal --no-emit-index-url --no-emit-find-links --upgrade --extra dev pyproject.toml --output-file constraints.new
	@{ echo '# Versions that `make` and CI install; looser ranges are in pyproject.toml. Refresh with `make lock`.'; cat constraints.new; } > constraints.txt
	@rm constraints.new

clean:  ## Remove what make made
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache

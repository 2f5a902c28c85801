# Nacre: `make help` lists what there is. Every target sets up what it needs on a fresh clone.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MODEL ?= nacre-16k-speech
CONFIG ?= configs/train/nacre_16k.yaml
ARGS ?=

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(READY) ## Create .venv and install everything, pinned; a CPU build of torch where there is no NVIDIA GPU

$(READY): pyproject.toml constraints.txt docker/install.sh
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else f"Nacre needs Python 3.11 or 3.12, not {v[0]}.{v[1]}: make PYTHON=python3.11 setup")'
	$(PYTHON) -m venv $(VENV)
	sh docker/install.sh $(BIN)/python --editable '.[serving,training,m4a,onnx,retrain,s3,tokens,ray]' --group dev
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[metrics]' \
		|| echo "PESQ and ViSQOL are left out of validation: building them needs a C and C++ compiler"
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --no-deps distillmos xls-r-sqa
	@touch $@

.PHONY: demo
demo: $(READY) ## Real clips to a served codec in minutes, with a report in demo-report/
	$(BIN)/python -m demo $(ARGS)

.PHONY: test
test: $(READY) ## Run the tests; one that needs a missing system tool is skipped and says what to install
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

.PHONY: lint
lint: $(READY) ## Check style, formatting and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

.PHONY: types
types: $(READY) ## Check types (strict in codec, registry and serving)
	$(BIN)/mypy

.PHONY: check
check: lint types serving-env test ## Everything that CI runs

.PHONY: serving-env
serving-env: .venv-serving/.ready ## Create .venv-serving with the serving dependencies alone, as the tests check it

.venv-serving/.ready: pyproject.toml constraints.txt docker/install.sh
	$(PYTHON) -m venv .venv-serving
	sh docker/install.sh .venv-serving/bin/python --editable '.[serving]'
	@touch $@

.PHONY: format
format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: train
train: $(READY) ## Train: make train CONFIG=configs/train/nacre_16k.yaml ARGS='--data.directory DATA'
	$(BIN)/nacre train fit --config $(CONFIG) $(ARGS)

.PHONY: serve
serve: $(READY) ## Serve the model that ships, or another: make serve MODEL=NAME@production
	$(BIN)/nacre serve --model $(MODEL) $(ARGS)

.PHONY: benchmark
benchmark: $(READY) ## Measure the codec's speed beside EnCodec, Mimi and DAC on this machine
	$(BIN)/python -m benchmarks.codec $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## Read 200,000 damaged containers, in some minutes
	$(BIN)/python -m benchmarks.fuzz_container $(ARGS)

.PHONY: clean
clean: ## Remove the environments and caches (never NACRE_HOME)
	rm -rf $(VENV) .venv-serving .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

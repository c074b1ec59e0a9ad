# Everything a newcomer or CI does with this tree. `make` alone lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The Python that the environment is made with: `make venv PYTHON=/path/to/python3`.
PYTHON ?=
# More arguments for the command behind a target: `make test ARGS='-k claim -x'`.
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.done
# What rules start finds the environment's own programs first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# All locked versions have wheels up to Python 3.13. A newer one, which may have to
# compile some, is the second choice, or is named by PYTHON.
define FIND_PYTHON
python=; \
for newest in $(if $(PYTHON),99,13 99); do \
  for p in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
    if "$$p" -c "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $$newest))" \
      >/dev/null 2>&1; then python=$$p; break 2; fi; \
  done; \
done; \
if [ -z "$$python" ]; then \
  echo "HeyHi needs Python 3.11 or newer with its venv module; $(or $(PYTHON),python3) is missing, older or lacks it." >&2; \
  echo "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name one: make venv PYTHON=/path/to/python3" >&2; \
  exit 1; \
fi
endef

# -qq: pip says nothing but errors. Modules are compiled on all cores afterwards,
# which takes half the time of pip doing it, and spares every job its own compiling.
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input
COMPILE := $(BIN)/python -m compileall -q -j 0 -x '/(tests?|lib2to3)/' $(VENV)/lib >/dev/null || true

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: venv ## Set up, then run the example sweep and print its table (the main job).
	@$(BIN)/snakemake --profile profiles/local --forcerun aggregate $(ARGS)

# As many processes as tests/conftest.py says: one a core, and one a Slurm cluster beside them. What shares something
# stays together (loadgroup). The later -n wins: ARGS='-n 0'.
PYTEST = $(BIN)/python -m pytest -n auto --dist loadgroup

.PHONY: test
test: $(STAMP)/dev $(STAMP)/docs ## Set up, then run all tests (ARGS='-k word -x' goes to pytest; ARGS=tests/slurm runs only these).
	@$(if $(strip $(ARGS)),,echo "All tests: about 8,700, half an hour on 2 cores; make test-unit takes 5 minutes (CONTRIBUTING.md)")
	@$(PYTEST) $(ARGS)

.PHONY: test-unit
test-unit: $(STAMP)/dev ## The quick ones only, 5 minutes on 2 cores: what a change should pass first.
	@$(PYTEST) tests/unit tests/errors $(ARGS)

.PHONY: snapshots
snapshots: $(STAMP)/dev ## Write the messages of mistakes anew (tests/errors/messages.json), for you to review.
	@$(BIN)/python -m pytest -q tests/errors --snapshot-update $(ARGS)

# A folder for the cluster of slurm-up: `make slurm-up DIR=/tmp/slurm`.
DIR ?= build/slurm
CLUSTER = $(BIN)/python -m tests.slurm.cluster
# What happens in `make chaos`, and when, follows from it.
SEED ?= 7

.PHONY: slurm-up
slurm-up: venv ## Start a real Slurm of three nodes on this machine, (DIR=build/slurm).
	@$(CLUSTER) up $(DIR) $(ARGS)

.PHONY: slurm-env
slurm-env: venv ## Print the line that makes a shell use it (for eval).
	@$(CLUSTER) env $(DIR)

.PHONY: slurm-down
slurm-down: venv ## Stop it and remove its folder (ARGS=--keep leaves that).
	@$(CLUSTER) down $(DIR) $(ARGS)

.PHONY: chaos
chaos: venv ## Kill everything around 60 experiments on a cluster of its own, for 15 minutes at most (SEED=7).
	@timeout --signal=INT --kill-after=60s 16m $(BIN)/python tests/slurm/chaos.py --seed $(SEED) --minutes 15 \
	  --folder build/chaos-$(SEED)-$$(date +%H%M%S) $(ARGS)

# An environment of its own, which has all of .venv besides. Which torch: TORCH='torch --index-url URL' takes another
# build, for CPUs alone, say: the usual one is several GB.
FRAMEWORKS ?= $(VENV)/frameworks
TORCH ?= torch==2.13.0

.PHONY: test-frameworks
test-frameworks: $(FRAMEWORKS)/.done ## Run the recipes of docs/frameworks.md, stopped and gone on (downloads torch and more).
	@HEYHI_REQUIRE_SLURM=1 $(FRAMEWORKS)/bin/python -m pytest -n 0 tests/slurm/frameworks.py $(ARGS)

$(FRAMEWORKS)/.done: $(STAMP)/dev
	@echo "Installing torch, lightning, transformers and wandb into $(FRAMEWORKS)"
	@$(BIN)/python -m venv $(FRAMEWORKS)
	@$(FRAMEWORKS)/bin/python -m pip install -qq --disable-pip-version-check --no-input \
	  $(TORCH) lightning transformers accelerate wandb
	@own() { "$$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }; \
	  echo "import site; site.addsitedir('$$(own $(CURDIR)/$(BIN)/python)')" >"$$(own $(FRAMEWORKS)/bin/python)/heyhi.pth"
	@touch $@

.PHONY: lint
lint: $(STAMP)/dev ## Check style, types and the workflow; changes nothing.
	@failed=; \
	check() { echo "$$*"; "$(BIN)/$$@" || failed="$$failed $$1"; }; \
	check ruff check --quiet .; \
	check ruff format --check --quiet .; \
	check mypy --strict heyhi; \
	check lint-imports --no-cache; \
	check snakefmt --check Snakefile workflows heyhi/newproject docs/own-rules examples; \
	check python .ci/lint_workflow.py; \
	if [ -n "$$failed" ]; then echo "make lint: not clean:$$failed" >&2; exit 1; fi

.PHONY: format
format: $(STAMP)/dev ## Put all files into the house's format.
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflows heyhi/newproject docs/own-rules examples

# To be read without a network; a link that leads nowhere is an error, each time (-E reads all pages anew).
.PHONY: docs
docs: $(STAMP)/docs ## Write docs/api.md anew, and make a site of docs/ with a search: build/docs/index.html.
	@$(BIN)/python -m docs_site.api
	@$(BIN)/python -m sphinx -q -W -E --keep-going -d build/doctrees -c docs_site docs build/docs $(ARGS)
	@echo "build/docs/index.html"

.PHONY: bench
bench: $(STAMP)/bench ## Run the benchmarks and print their table.
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: venv
venv: $(STAMP)/run ## Make .venv with what the main job needs; quick when it is there.
	@:

$(STAMP)/run: requirements/build.txt requirements/run.txt pyproject.toml
	@if ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
	  $(FIND_PYTHON); \
	  echo "Making $(VENV) with $$("$$python" -c 'import sys; print(sys.executable, sys.version.split()[0])')"; \
	  rm -rf $(VENV); "$$python" -m venv $(VENV); \
	fi
	@echo "Installing $$(grep -c '^[a-z].*==' requirements/run.txt) locked packages (about half a minute when nothing is cached)"
	@$(PIP_INSTALL) --no-deps --no-compile --require-hashes -r requirements/build.txt
	@$(PIP_INSTALL) --no-deps --no-compile --no-build-isolation --require-hashes -r requirements/run.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
# Snakemake imports the executors as it finds them: ours before the official one, as where HeyHi is installed from a wheel.
	@site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	  ln -sfn $(CURDIR)/snakemake_executor_plugin_heyhi "$$site/snakemake_executor_plugin_heyhi"
	@echo "Compiling them"
	@$(COMPILE)
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/dev: $(STAMP)/run requirements/dev.txt
	@echo "Installing what tests and checks need"
	@$(PIP_INSTALL) --no-deps --no-compile --no-build-isolation --require-hashes -r requirements/dev.txt
	@$(COMPILE)
	@touch $@

$(STAMP)/bench: $(STAMP)/run requirements/bench.txt
	@echo "Installing what the benchmarks compare with"
	@$(PIP_INSTALL) --no-deps --no-compile --no-build-isolation --require-hashes -r requirements/bench.txt
	@$(COMPILE)
	@touch $@

$(STAMP)/docs: $(STAMP)/run requirements/docs.txt
	@echo "Installing what the docs are made with"
	@$(PIP_INSTALL) --no-deps --no-compile --no-build-isolation --require-hashes -r requirements/docs.txt
	@$(COMPILE)
	@touch $@

# One set of versions for every supported Python: resolved for the oldest, with
# markers for other systems. Pins that are there stay; ARGS=--upgrade renews them.
UV_COMPILE = $(VENV)/lock/bin/uv pip compile -q --universal --python-version 3.11 --fork-strategy fewest \
  --generate-hashes --custom-compile-command 'make lock' $(ARGS)

.PHONY: lock
lock: venv ## Resolve the dependencies of pyproject.toml anew into requirements/ (ARGS=--upgrade for newer ones).
	@test -x $(VENV)/lock/bin/uv || { $(BIN)/python -m venv $(VENV)/lock; \
	  $(VENV)/lock/bin/python -m pip install -qq --disable-pip-version-check uv; }
	$(UV_COMPILE) --extra all --extra example pyproject.toml -o requirements/run.txt
	printf '%s\n' pip 'hatchling>=1.27' 'setuptools>=77' | $(UV_COMPILE) -c requirements/run.txt - -o requirements/build.txt
	$(UV_COMPILE) --extra all --extra example --extra dev -c requirements/run.txt pyproject.toml -o requirements/dev.txt
	$(UV_COMPILE) --extra all --extra example --extra bench -c requirements/run.txt pyproject.toml -o requirements/bench.txt
	$(UV_COMPILE) --extra all --extra example --extra docs -c requirements/run.txt pyproject.toml -o requirements/docs.txt

.PHONY: clean
clean: ## Remove the environment, caches and builds; results stay.
	@if [ -d build/slurm/run ]; then python3 -m tests.slurm.cluster down build/slurm; fi
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './results/*' -prune -exec rm -rf {} +

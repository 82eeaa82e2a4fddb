# What a developer needs, each from nothing: make demo, make test, make lint, make soak, make bench,
# make screenshots.
# PYTHON chooses the interpreter (3.10 or newer); the environment is made in .venv.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
SAVES := $(abspath $(wildcard ../shared/checkpoints/saehd))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test lint soak bench screenshots clean

demo: $(VENV)/.runtime
	@$(BIN)/casvault demo

test: $(VENV)/.dev
	@CASVAULT_TEST_SAVES=$(SAVES) $(BIN)/python -m pytest -n logical --dist worksteal

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

soak: $(VENV)/.dev
	@$(BIN)/python -m pytest -m slow -n logical --dist worksteal

bench: $(VENV)/.runtime
	@$(PIP) install --group bench
	@$(BIN)/python -m benchmarks $(if $(wildcard ../shared/checkpoints/saehd),--trajectory ../shared/checkpoints/saehd)

screenshots: $(VENV)/.dev
	@$(BIN)/python -m tests.support.screenshots $(if $(wildcard ../shared/checkpoints/saehd),--saves ../shared/checkpoints/saehd)

$(VENV)/.runtime: pyproject.toml
	@test -n "$(PYTHON)" || { echo "casvault needs Python 3.10 or newer; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x "$(BIN)/python" || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PIP) install --upgrade "pip>=25.1"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@$(PIP) install --group dev
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

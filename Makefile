# Foreword: what a person runs. `make help` explains each target.
.DEFAULT_GOAL := help
.PHONY: help setup demo bench test test-fast test-neovim test-vscode vscode vscode-tools lint lint-vscode format lock clean

PYTHON ?= python3
RUN := .venv/bin/python
# The GPU lock where a driver answers, the slim one everywhere else; overrule with LOCK=locks/gpu.txt.
LOCK ?= $(if $(shell nvidia-smi -L 2>/dev/null),locks/gpu.txt,locks/cpu.txt)
# Files of tests that share no engine run side by side; those with an engine want the cores for themselves.
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# Tests each of which has folders and processes of its own.
ALONE := -n logical --maxprocesses 4

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed ## install everything into .venv from the lock that fits this machine
.venv/installed: $(LOCK) pyproject.toml locks/install.sh
	PYTHON=$(PYTHON) ./locks/install.sh $(LOCK)
	@touch $@

demo: setup ## index a real repository and watch completions that use another of its files
	$(RUN) benchmarks/demo.py

bench: setup ## the engine beside SGLang's stock path and llama.cpp (half an hour; wants an otherwise idle machine)
	.venv/bin/foreword bench engine

test: setup ## every test: units, protocol, and end to end with the real engine
	$(RUN) -m pytest $(SIDE_BY_SIDE) -m "not engine"
	$(RUN) -m pytest -m engine

test-fast: setup ## the tests that start no engine
	$(RUN) -m pytest $(SIDE_BY_SIDE) -m "not engine and not slow"

test-neovim: setup ## the plug-in in real Neovims 0.11 and 0.12 (the latter is fetched once, 11 MB) with the real server and engine
	$(RUN) -m pytest -rs $(ALONE) -m "not engine" tests/test_neovim.py
	$(RUN) -m pytest -rs -m engine tests/test_neovim.py

vscode: setup editors/vscode/node_modules/.package-lock.json ## the VS Code extension as editors/vscode/dist/foreword.vsix
	$(RUN) editors/vscode/server.py
	cd editors/vscode && npm run --silent package

editors/vscode/node_modules/.package-lock.json: editors/vscode/package-lock.json
	@command -v npm >/dev/null || { echo "This needs npm, which comes with node. On Debian and Ubuntu: sudo apt-get install nodejs npm"; exit 1; }
	cd editors/vscode && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

vscode-tools:
	tests/vscode/install.sh >/dev/null

test-vscode: setup ## the extension in a real VS Code (code-server, fetched once, 1 GB) with the real server and engine; pictures in build/vscode
	@$(MAKE) --no-print-directory -j 2 vscode vscode-tools
	cd editors/vscode && npm test --silent
	tests/vscode/run.sh

lint: setup ## ruff, pyright in strict mode, and the import rules between the rooms
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pyright --pythonpath $(RUN)
	$(RUN) -c "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory lint-vscode; else echo "There is no npm here: editors/vscode was not checked."; fi

lint-vscode: editors/vscode/node_modules/.package-lock.json ## the extension's TypeScript: tsc in strict mode, and biome
	cd editors/vscode && npm run --silent check

format: setup ## let ruff write the code's layout
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

lock: ## resolve pyproject.toml anew and write both locks
	rm -rf build/lock && $(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet uv
	PATH="$(CURDIR)/build/lock/bin:$$PATH" $(PYTHON) locks/compile.py

clean: ## remove .venv and everything that was built; the models and the index in the user's cache stay
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf editors/vscode/dist editors/vscode/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

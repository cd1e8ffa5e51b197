# Everything starts here. Needed on the machine: python3 3.11 or newer, and GNU make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
UV_VERSION := 0.13.9
AUDIT_VERSION := 2.10.1

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Compiled modules are kept whatever the shell says: hundreds of processes start in a run of the tests.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test faults bench check lock audit clean

help: ## show this list
	@echo "callcenter: telephone answering for clinics. What you can do here:"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name text; do \
		printf '%-14s %s\n' "$$name" "$$text"; done
	@echo
	@echo "  make run ARGS=--once    play the scripted call, then stop"
	@echo "  make test ARGS='tests/unit -k presence'    run only some tests"

run: $(VENV)/.ready ## set everything up and start the demo: a call with real audio, then console and API (ARGS=--once stops after the call)
	@exec $(BIN)/callcenter demo $(ARGS)

test: $(VENV)/.ready-dev ## set everything up, check the code and run the whole test suite (ARGS=… narrows it)
	@$(BIN)/python tools/check.py
	@exec $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

faults: $(VENV)/.ready-dev ## run the attacks at full length: crashes, storms, failing parts, forged requests (takes long; ARGS=… narrows it)
	@CAMPAIGN=long exec $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m campaign --timeout 3600 $(ARGS)

bench: $(VENV)/.ready-dev ## measure everything that has a promised speed; prints JSON (ARGS=NAME … measures only some)
	@exec $(BIN)/python -m benchmarks $(ARGS)

check: $(VENV)/.ready-dev ## style, types and import direction, without the tests
	@$(BIN)/python tools/check.py

lock: $(BIN)/pip ## write both lock files anew from pyproject.toml (newest allowed versions: make lock ARGS=--upgrade)
	@$(BIN)/pip install --quiet uv==$(UV_VERSION)
	@$(BIN)/python tools/lock.py $(ARGS)

audit: ## compare what we install with the known vulnerabilities; fails too when they cannot be looked up
	@test -x .audit/bin/pip-audit || { $(PYTHON) -m venv .audit && .audit/bin/pip install -qq pip-audit==$(AUDIT_VERSION); }
	@.audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.lock

clean: ## remove the virtual environment and all caches (the data in var/ stays)
	rm -rf $(VENV) .audit build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# ensurepip is the last thing that venv does, so pip in its place proves a whole environment.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "This needs Python 3.11 or newer as '$(PYTHON)'; name another with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "This Python cannot make virtual environments; install its venv package (on Debian: apt-get install python3-venv) and try again." >&2; exit 1; }
	@echo "Setting up: virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# The development lock holds everything the runtime lock holds, so either mark is good enough for `make run`.
$(VENV)/.ready: requirements.lock pyproject.toml | $(BIN)/pip
	@$(call install,requirements.lock,$@)

$(VENV)/.ready-dev: requirements-dev.lock pyproject.toml | $(BIN)/pip
	@$(call install,requirements-dev.lock,$@)
	@touch $(VENV)/.ready

# Every archive is checked against the hash in the lock, the build backend too; nothing else is fetched.
define install
	started=$$(date +%s) && \
	echo "Setting up: Python packages of $(1)" && \
	$(BIN)/pip install -qq --require-hashes --only-binary :all: -r $(1) && \
	$(BIN)/pip install -qq --no-deps --no-build-isolation --no-index -e . && \
	touch $(2) && \
	echo "Setting up took $$(( $$(date +%s) - started )) s"
endef

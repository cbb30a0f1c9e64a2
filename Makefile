# Two commands do everything: `make run` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that run tests; those of a file stay in one, which shares its servers.
WORKERS ?= 3
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
FUZZ_SECONDS ?= 60
# Else each process of the tests would compile all of them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-dev run test test-full check collected format bench docs screenshots site lock fuzz dist clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready  ## Make .venv with everything that running needs, or mend it
	@PYTHON=$(PYTHON) tools/setup.sh runtime --if-needed

setup-dev: $(VENV)/.ready-dev  ## The same with what tests need, and on Debian as root the real peers (DCMTK, GDCM, Orthanc, Chromium)
	@PYTHON=$(PYTHON) tools/setup.sh dev --if-needed

$(VENV)/.ready: requirements/runtime.txt pyproject.toml hatch_build.py $(wildcard frontend/*.*) tools/setup.sh tools/failures.sh
	@PYTHON=$(PYTHON) tools/setup.sh runtime
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements/dev.txt tools/debian_peers.sh
	@PYTHON=$(PYTHON) tools/setup.sh dev
	@tools/debian_peers.sh
	@touch $@

run: setup  ## Start the lab, do the main job before your eyes, serve the web pages until Ctrl-C
	@$(BIN)/dicomfab lab start --configure
	@$(BIN)/dicomfab demo
	@$(BIN)/dicomfab serve --ris

test: setup-dev  ## Checks and all tests that CI runs (under 15 minutes on 2 cores)
	@$(MAKE) --no-print-directory -j2 check collected
	$(PYTEST) -m "not full" --hypothesis-profile=few

test-full: setup-dev  ## Everything, with the full matrices and all screenshots (under 60 minutes)
	@$(MAKE) --no-print-directory -j2 check collected
	DICOMFAB_SCREENSHOTS=1 $(PYTEST)

check: setup-dev  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

collected: setup-dev
	@said=$$($(BIN)/pytest --collect-only -qq 2>&1) || { tail -100 <<<"$$said"; exit 1; }

format: setup-dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-dev  ## Benchmarks; ratios are gates, absolute times are only reported
	@failed=0; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || failed=1; done; exit $$failed

fuzz: setup-dev  ## Fuzz what reads a peer's bytes, FUZZ_SECONDS (60) for each target; what breaks it lands in fuzz/found
	@$(BIN)/uv --quiet pip install --python $(BIN)/python --require-hashes -r requirements/fuzz.txt
	@for file in fuzz/fuzz_*.py; do \
	  target=$$(basename $$file .py); target=$${target#fuzz_}; found=fuzz/found/$$target; \
	  echo "== $$target"; mkdir -p $$found; \
	  $(BIN)/python -m fuzz.run $$target -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -print_final_stats=1 \
	    -artifact_prefix=fuzz/found/$$target- $$found fuzz/corpus/$$target || exit 1; \
	done

docs: setup-dev  ## Write references, tables, diagrams and screenshots anew, check every link
	$(BIN)/python tools/cli_reference.py docs/reference/command-line.md
	$(BIN)/python tools/access_reference.py docs/reference/access.md
	$(BIN)/python tools/cmove_troubleshooting.py docs/troubleshooting/cmove-troubleshooting.md
	$(BIN)/python tools/conformance.py docs/reference/conformance.md
	$(BIN)/python tools/licences.py docs/reference/licences.md
	$(BIN)/python tools/diagrams.py
	$(BIN)/python tools/python_api.py docs/reference/python-api.md
	$(BIN)/dicomfab recipe schema > docs/reference/recipe.schema.json
	$(BIN)/dicomfab population schema > docs/reference/population.schema.json
	$(BIN)/dicomfab order profile-schema > docs/reference/hl7-profile.schema.json
	$(BIN)/python tools/population_plots.py docs/images/population.png
	$(BIN)/python tools/contact_sheet.py docs/images/modalities.png 5
	DICOMFAB_SCREENSHOTS=1 $(PYTEST) tests/browser
	$(PYTEST) tests/docs

# The same commit gives the same bytes: entries have the commit's date, not that of the files.
dist: setup  ## Wheel and source distribution into dist/; the wheel is built from the source distribution
	@rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 1580601600) \
	  $(BIN)/uv --quiet build --no-build-isolation --python $(BIN)/python --out-dir dist .
	@ls -l dist

site: setup  ## The documents as a site in build/site, which needs no server
	$(BIN)/python tools/site.py build/site

lock: $(VENV)/.ready  ## Pin the newest allowed versions again
	tools/lock.sh

clean:  ## Remove what setup and tests made here; your DICOMFAB_HOME is not touched
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache test-results test-records fuzz/found
	rm -rf src/dicomfab/web/static/vendor src/dicomfab/web/viewer

# `make run` and `make test` are all that a fresh machine needs; both make the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH := $(VENV)/.bench
FUZZ := $(VENV)/.fuzz
# What starts again and again reads compiled modules.
unexport PYTHONDONTWRITEBYTECODE

# The whole suite is shared between the cores, each process with servers of its own.
SHARED := --numprocesses auto --maxprocesses 4 --dist loadfile

# Whatever builds images from a Dockerfile: docker, podman.
ENGINE ?= docker

# The Salesforce package's tools bring Node for Linux on x64; elsewhere the machine's serves, from 22.
APEX_TOOLS := apex/node_modules/.installed
NODE := PATH="$(CURDIR)/apex/node_modules/.bin:$$PATH" NODE_DISABLE_COMPILE_CACHE=1 node

.PHONY: help run test clusters upgrade alerts simulate chaos fuzz overload autoscaling check check-code check-types check-deploy check-apex screenshots bench bench-quick format docs lock clean apex-tools apex-size apex-package wheel release image

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' Makefile

run: $(INSTALLED) ## Run everything here, with a sample org; ARGS=--once exits after its story
	@$(BIN)/penstock up $(ARGS)

test: $(INSTALLED) ## Run the whole suite; ARGS=… goes to pytest
	@$(MAKE) --silent apex-tools \
		|| echo "The tests that run the Salesforce package are skipped: they need npm (above)."
	@apex/tools/need.sh chromium chromium \
		|| echo "The tests that look at the console are skipped: they need Chromium (above)."
	@$(BIN)/pytest $(or $(ARGS),$(SHARED))

simulate: $(INSTALLED) ## Simulate workers and relays under faults: SEEDS=10000, or one again: SEED=7
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000))

fuzz: $(FUZZ) ## Send ingest hostile input: RUNS=1000000 SEED=1, or one that failed: INPUT=file
	@$(BIN)/python -m tests.fuzzing $(if $(INPUT),--input $(INPUT),--runs $(or $(RUNS),100000) --seed $(or $(SEED),1))

chaos: $(INSTALLED) ## Break real processes under load for MINUTES=4 by SEED=1, and look at what is left
	@$(BIN)/python -m tests.chaos --seed $(or $(SEED),1) --minutes $(or $(MINUTES),4) $(ARGS)

check: $(INSTALLED) $(APEX_TOOLS) ## Lint, types, import arrows; deploy/'s files; the Salesforce package's gate
	@$(MAKE) --silent --jobs --output-sync=target check-code check-types check-deploy check-apex

check-code: $(INSTALLED)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

check-types: $(INSTALLED)
	@$(BIN)/mypy

check-deploy: $(INSTALLED)
	@$(BIN)/python -m tests.deployment

check-apex: $(APEX_TOOLS)
	@apex/tools/need.sh java default-jre-headless
	@$(NODE) apex/tools/check.mjs
	@$(NODE) apex/tools/size.mjs

format: $(INSTALLED) $(APEX_TOOLS) ## Format, and mend what can be mended by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@cd apex && $(NODE) node_modules/prettier/bin/prettier.cjs --write --log-level warn .

apex-tools: $(APEX_TOOLS) ## Install what checks and packages the Salesforce package

apex-size: $(APEX_TOOLS) ## Count the Salesforce package's characters; too many fail
	@$(NODE) apex/tools/size.mjs

apex-package: $(APEX_TOOLS) ## Write dist/penstock-apex.zip for ENDPOINT=https://…, to deploy
	@$(NODE) apex/tools/package.mjs "$$ENDPOINT" dist/penstock-apex.zip

screenshots: $(INSTALLED) ## Picture each page of the console: dist/screenshots, README
	@apex/tools/need.sh chromium chromium
	@mkdir -p dist/screenshots
	@SCREENSHOTS=dist/screenshots $(BIN)/pytest -q tests/browser/test_pages.py $(ARGS)
	@mkdir -p deploy/images
	@cp dist/screenshots/flow-1280-light.png deploy/images/flow.png
	@cp dist/screenshots/enrolment-1280-light.png deploy/images/enrolment.png

clusters: $(INSTALLED) ## Fail, part and restart three RabbitMQ nodes and a PostgreSQL pair under load
	@CLUSTERS=1 $(BIN)/pytest -s tests/acceptance/test_clusters.py $(ARGS)

upgrade: $(INSTALLED) ## Roll a fleet under load from the version before to this one and back; UPGRADE_FROM=commit
	@UPGRADE=1 $(BIN)/pytest -v tests/acceptance/test_upgrading.py $(ARGS)

alerts: $(INSTALLED) ## Break a stack for each alert and follow its runbook; ARGS='--only PenstockOutboxOld'
	@$(BIN)/python -m tests.alerts $(ARGS)

overload: $(INSTALLED) ## Send three times what this machine sustains; ARGS='--seconds 60 --changes 1'
	@$(BIN)/python -m tests.overload $(ARGS)

autoscaling: $(INSTALLED) ## Scale real workers by the chart's ScaledObject under a burst; ARGS='--changes 20000'
	@$(BIN)/python -m tests.autoscaling $(ARGS)

bench: $(BENCH) ## Measure everything, side by side with limits and alternatives; ARGS=… choose
	@$(BIN)/python -m tests.benchmarks $(ARGS)

bench-quick: $(BENCH) ## The same with fewer changes, in under three minutes
	@$(BIN)/python -m tests.benchmarks --quick $(ARGS)

docs: $(INSTALLED) ## Write what follows from the code: reference, alerts, dashboards, definitions
	@$(BIN)/python -m ops.reference > deploy/reference.md
	@$(BIN)/python -m ops.monitoring.files
	@$(BIN)/python -m ops.broker_definitions deploy/rabbitmq

wheel: $(INSTALLED) ## Build dist/penstock-VERSION.whl and .tar.gz, from one commit always the same bytes
	@rm -f dist/penstock-*.whl dist/penstock-*.tar.gz
	@$(BIN)/hatchling build -d dist

release: wheel ## Build both, and try the wheel in a fresh environment made from requirements.lock
	@rm -rf dist/trial && $(PYTHON) -m venv dist/trial
	@dist/trial/bin/pip --quiet --disable-pip-version-check install --require-hashes -r requirements.lock
	@dist/trial/bin/pip --quiet --disable-pip-version-check install --no-deps --no-index dist/penstock-*.whl
	@cd dist && trial/bin/penstock --version && sha256sum penstock-*.whl penstock-*.tar.gz
	@rm -rf dist/trial

image: $(INSTALLED) ## Build the image penstock:VERSION; ENGINE=podman ARGS='--push …' go to the engine
	@version=$$($(BIN)/hatchling version) && $(ENGINE) build --file deploy/Dockerfile \
		--build-arg VERSION="$$version" --build-arg REVISION="$$(git rev-parse HEAD)" \
		--build-arg CREATED="$$(git log -1 --format=%cI)" --tag "penstock:$$version" $(ARGS) .

lock: $(INSTALLED) $(APEX_TOOLS) ## Pin the newest versions that pyproject.toml allows, with hashes
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links --group dev \
		pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links -c requirements-dev.lock \
		pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links -c requirements-dev.lock \
		--group build -o requirements-build.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links -c requirements-dev.lock \
		--group bench -o requirements-bench.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links -c requirements-dev.lock \
		--group fuzz -o requirements-fuzz.lock
	@cd apex && npm install --package-lock-only --silent
	@$(NODE) apex/tools/lock.mjs

clean: ## Remove the environment and what checks left; the local stack's data stays
	rm -rf $(VENV) apex/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(INSTALLED): requirements-dev.lock pyproject.toml
	@echo "Making the environment in $(VENV) (about half a minute, once) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Penstock needs Python 3.11 or later: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH): $(INSTALLED) requirements-bench.lock
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements-bench.lock
	@touch $@

$(FUZZ): $(INSTALLED) requirements-fuzz.lock
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements-fuzz.lock
	@touch $@

$(APEX_TOOLS): apex/package-lock.json apex/package.json apex/.npmrc
	@apex/tools/need.sh npm nodejs npm
	@echo "Making the Salesforce tools in apex/node_modules (about a quarter of a minute, once) ..."
	@cd apex && npm ci
	@touch $@

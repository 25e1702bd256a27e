# Everything starts from `make up` and `make test`; both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ACCEPTANCE := $(addprefix tests/e2e/test_,browser.py kills.py requests.py up_killed.py)
# Every process would compile every library anew.
unexport PYTHONDONTWRITEBYTECODE
export DO_NOT_TRACK := 1
export UV_SYSTEM_CERTS := true
# Training threads that wait must not spin while a server has their core.
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup up test acceptance stack check promtool browser pictures lock imagelock bench clean

help: ## Say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(STAMP) ## Install what the lock names into .venv

# uv installs in seconds; where it cannot reach the index that pip is set up for, pip itself does it.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "refit needs Python 3.11, 3.12 or 3.13; name one with: make PYTHON=python3.11 up")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv==0.13.*' || true
	$(BIN)/python -m uv pip install --quiet --no-deps --require-hashes -r requirements.lock \
	  || $(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m uv pip install --quiet --no-deps -e . || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(STAMP)

up: setup ## Run the product on embedded defaults; Ctrl-C stops all of it
	@$(BIN)/refit up

check: setup promtool ## Lint, types, contracts and the unit tests that are quick
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 --dist worksteal -m 'not slow' tests/unit src/refit flows

test: check ## Every test but those of `make acceptance` and `make stack`, on the real parts
	$(BIN)/pytest -q -n 2 --dist loadfile -m slow tests/unit
	$(BIN)/pytest -n 2 --dist loadfile tests/integration tests/e2e --ignore=tests/integration/stack $(ACCEPTANCE:%=--ignore=%)

acceptance: setup browser ## The product in a real browser, nights that are killed, a storm of events: 20 minutes
	$(BIN)/pytest $(ACCEPTANCE)

pictures: setup browser ## Take the pictures of docs/images anew
	$(BIN)/python -m tests.e2e.pictures

# Each step goes on from what the one before left, so the first that fails is the last.
stack: setup ## The whole stack in real containers; needs root, Debian and a network
	$(BIN)/pytest -v --exitfirst --durations=0 --durations-min=1 tests/integration/stack

# promtool is one file of Debian's prometheus, so the server is not installed; where it cannot be had its tests are
# skipped, and say so.
promtool: setup
	@test -x $(BIN)/promtool || command -v promtool >/dev/null || (cd $(BIN) \
	  && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } >/dev/null 2>&1 \
	  && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >promtool \
	  && chmod +x promtool && rm prometheus_*.deb) \
	  || echo "promtool is not here and cannot be had: its tests are skipped"

# The browser tests drive Debian's chromium; where it cannot be had they are skipped, and say so.
browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	  || echo "chromium is not here and cannot be installed: the browser tests are skipped"

# Left out: what others import, kills of an hour, and those that are given the data of others by name.
BENCHMARKS := $(filter-out $(addprefix benchmarks/,served.py load.py reading.py kills.py flaml.py sba_training.py),$(wildcard benchmarks/*.py))
bench: setup ## The benchmarks, one JSON line each
	@for script in $(BENCHMARKS); do echo "$$script" >&2; $(BIN)/python $$script || exit 1; done

lock: setup ## Write requirements.lock anew
	$(BIN)/python -m uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-annotate \
	  --no-emit-index-url --no-header --upgrade --quiet --output-file requirements.lock

imagelock: setup ## Write the images' locks anew, at the versions of requirements.lock
	@for image in 'refit.lock pyproject.toml deployments/docker/refit.in' 'service.lock deployments/docker/service.in'; do \
	  set -- $$image && file=$$1 && shift && $(BIN)/python -m uv pip compile "$$@" --constraints requirements.lock \
	    --python-version 3.11 --universal --generate-hashes --no-annotate --no-emit-index-url --no-header --quiet \
	    --output-file deployments/docker/$$file || exit 1; done

clean: ## Remove .venv; what a run kept in .refit stays
	rm -rf $(VENV)

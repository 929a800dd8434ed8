# Two commands on a fresh machine: `make demo` and `make test`. Python >= 3.11 and make are all they assume.
# Each target sets up .venv by itself; `uv` is used where it is present.

VENV   := .venv
BIN    := $(VENV)/bin
# The first interpreter that runs and is new enough; a name on the PATH may be a shim that does neither.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
UV     := $(shell command -v uv 2>/dev/null)
STAMP  := $(VENV)/.installed
# Half as many again as processors: tests of real sockets and processes mostly wait.
WORKERS = $(shell $(BIN)/python -c 'import os; print(3 * (os.cpu_count() or 1) // 2)')

.PHONY: help setup demo test torture browser long whole prove lint types mypy pyright packaging check diagrams clean
.PHONY: bench bench-quick bench-peers

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## create .venv and install everything into it

$(STAMP): pyproject.toml constraints.txt
	@test -n '$(PYTHON)' || { echo 'gapless needs Python 3.11 or newer; none was found. Try: make PYTHON=/path/to/python'; exit 1; }
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
endif
	@touch $@

demo: $(STAMP)  ## watch a feed go silent, fall back to REST, reconnect and come out whole
	$(BIN)/gapless demo

test: $(STAMP)  ## the test suite, on every processor
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

torture: $(STAMP)  ## a hundred worlds in which everything goes wrong, every planted bug, the exhaustive search
	$(BIN)/python -m pytest -q -m torture -n auto --dist worksteal tests/torture tests/exhaustive

prove: $(STAMP)  ## the full sizes, for hours: thousands of worlds, every planted bug searched for in a hundred, a page open for long
	$(BIN)/gapless torture --seeds 0:200 --hours 1 --rate 0.2 --set ws_idle_timeout=60 --json
	$(BIN)/gapless torture --seeds 0:50 --hours 1 --rate 2 --json
	$(BIN)/gapless torture --seeds 0:5000 --hours 0.25 --rate 0.2 --set ws_idle_timeout=60 --json
	$(BIN)/python -m tests.torture.find_bugs --seeds 0:100
	GAPLESS_ENDURANCE_S=300 $(BIN)/python -m pytest -q -rs -s -m browser tests/browser/test_endurance.py

long: $(STAMP)  ## what takes minutes each: fifty kills of a recorder, recorded sessions over twenty seeds, a thousand controllers
	$(BIN)/python -m pytest -q -rs -m long -n 2 --dist worksteal

browser: $(STAMP)  ## the dashboard's page in a headless Chromium; skipped, and said, where there is none
	$(BIN)/python -m pytest -q -rs -m browser -n 2 --dist worksteal tests/browser

lint: $(STAMP)  ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict and pyright over code and tests, side by side
	@$(MAKE) --no-print-directory -j2 mypy pyright

mypy: $(STAMP)
	$(BIN)/mypy

pyright: $(STAMP)
	$(BIN)/pyright

packaging: $(STAMP)  ## the wheel holds every package, and works outside the checkout
	$(BIN)/python -m pytest -q -m packaging tests/test_packaging.py

# In one run: what computes fills the gaps of what waits. Left to `make torture`, for the ten minutes that a check may take:
# the search of whole worlds, the planted bugs, the same bytes in another process; to `make browser` a page open for long; to
# `make test` a hundred real controllers that come back, and recorders killed on a full disk and behind a lock. What is
# marked `long` takes longer than all the rest.
whole: $(STAMP)  ## test, browser and most of torture in one run
	$(BIN)/python -m pytest -q -rs -m 'not packaging and not long' -n $(WORKERS) --dist worksteal \
		--deselect tests/exhaustive/test_whole.py --deselect tests/torture/test_determinism.py \
		--deselect tests/torture/test_planted_bugs.py --deselect tests/browser/test_endurance.py \
		--deselect tests/store/test_killed.py::test_two_kills_on_a_full_disk \
		--deselect tests/store/test_killed.py::test_two_kills_while_locked \
		--deselect 'tests/controller/test_herd.py::test_real_controllers_come_back_like_that[100]'

check: lint types whole packaging  ## all that CI runs

bench: bench-peers  ## gapless and its peers side by side, for an hour and a half; close everything else first
	$(BIN)/python -m benchmarks

bench-quick: $(STAMP)  ## the same in minutes: a first look, not a result
	$(BIN)/python -m benchmarks --quick

bench-peers: $(STAMP)  ## install the peers that are missing, from PyPI, each into an environment of its own
	$(BIN)/python -m benchmarks --install

diagrams: $(STAMP)  ## render the state diagrams anew
	$(BIN)/gapless diagram --write

clean:  ## remove what the targets made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

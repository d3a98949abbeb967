# make run [PRIMARY=host:port]   a demo: a live primary, txrepl as its replica, and what to look at
# make test [JOBS=1] [ARGS=-x]   everything that .ci/run checks
# make docs                      write docs/commands.md anew, from live servers
# make bench [ARGS=--quick]      side by side with a real Redis, in one run

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Most tests wait for servers: four at a time take two cores a third of the time.
JOBS ?= 4

.PHONY: run test docs bench

run: $(VENV)/.installed
	$(BIN)/python -m txrepl.demo $(if $(PRIMARY),--primary $(PRIMARY)) $(ARGS)

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict txrepl
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

docs: $(VENV)/.installed
	$(BIN)/python -m tests.interop.command_table

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/compare.py $(ARGS)

# The stamp makes pip run only when setup.py changed.
$(VENV)/.installed: setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,demo]'
	touch $@

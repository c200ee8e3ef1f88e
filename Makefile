# `make tutorial` runs all notebooks, `make test` all tests, `make lab` opens JupyterLab, `make demo`
# a page to search by voice, `make bench` measures every claim about speed.
# Each sets up .venv first if need be. README.md has the same commands without make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: tutorial test lab demo bench lint clean

tutorial: $(VENV)/installed
	$(BIN)/qvim tutorial

test: $(VENV)/installed
	QVIM_FAST=1 $(BIN)/python -m pytest

lab: $(VENV)/installed
	$(BIN)/jupyter lab notebooks

demo: $(VENV)/installed
	$(BIN)/qvim demo

bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check faiss-cpu
	$(BIN)/python benchmarks/all.py

lint: $(VENV)/installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/python -m mypy

clean:
	rm -rf build data/qvim-mini

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit(f"qvim-kit needs Python 3.10 or newer; this is {v[0]}.{v[1]}. Try: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): about two minutes and, on Linux, 6.5 GB, most of it torch."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

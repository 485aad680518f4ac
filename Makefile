# `make demo` needs Python >= 3.10 and make. Pip installs the rest into .venv.
# On Linux without a GPU, TORCH_INDEX=https://download.pytorch.org/whl/cpu saves downloading the CUDA libraries.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
            $$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
TORCH_INDEX ?=
CONSTRAINTS ?= .ci/constraints.txt

PRESET ?= small
OUT ?= runs/$(PRESET)
DATA ?=
CHECKPOINT ?=
NOTEBOOKS ?=
N ?= 10
JOBS ?= 2

PY = $(VENV)/bin/python
PIP = $(PY) -m pip install --no-compile --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) \
      $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
NBCONVERT = $(abspath $(PY)) -m jupyter nbconvert --to notebook --inplace
DATA_ARG = $(if $(DATA),--data $(DATA))

.PHONY: demo test test-all fuzz mutants lint gpu train evaluate lab notebooks docs clean

demo: $(VENV)/.installed
	$(PY) -m codi_minimal demo

test: $(VENV)/.installed-dev
	$(PY) -m pytest -q -n $(JOBS) --dist loadfile -m "not slow"

# with what is slow: every notebook at the scale tiny, the site, wrong edits, stages that learn, several processes
test-all: $(VENV)/.installed-dev
	$(PY) -m pytest -q -n $(JOBS) --dist loadfile

# N times as many inputs as `make test-all` draws
fuzz: $(VENV)/.installed-dev
	CODI_FUZZ=$(N) $(PY) -m pytest -q tests/fuzz

# applies each of the wrong edits in tests/mutants/edits.toml to a copy; some test must fail for each
mutants: $(VENV)/.installed-dev
	$(PY) -m tests.mutants.run

lint: $(VENV)/.installed-dev
	$(PY) -m ruff check .

# on a CUDA GPU: the preset `base` from nothing, its report by the recipe of the paper, and how fast the GPU is
gpu: OUT = runs/base
gpu: $(VENV)/.installed-dev
	date
	$(PY) -m codi_minimal train --preset base --device cuda --workers 4 --out $(OUT) $(DATA_ARG)
	date
	$(PY) -m codi_minimal evaluate --device cuda --autocast bf16 --recipe paper --checkpoint $(OUT)/model --out $(OUT)/results $(DATA_ARG)
	$(PY) -m codi_minimal benchmark --device cuda

train: $(VENV)/.installed-dev
	$(PY) -m codi_minimal train --preset $(PRESET) --out $(OUT) $(DATA_ARG)

evaluate: $(VENV)/.installed
	$(PY) -m codi_minimal evaluate $(DATA_ARG) $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT))

# opens the notebooks in the browser
lab: $(VENV)/.installed-lab
	cd notebooks && $(abspath $(PY)) -m jupyter lab

# at the scale "small"; CODI_SCALE=base on a GPU. CODI_STATIC leaves sliders out. The second call keeps only the last state of each progress bar
notebooks: $(VENV)/.installed-dev
	cd notebooks && for notebook in $(or $(NOTEBOOKS),*.ipynb); do \
	  CODI_STATIC=1 $(if $(DATA),CODI_DATA="$(abspath $(DATA))") $(NBCONVERT) --execute --ExecutePreprocessor.record_timing=False $$notebook \
	    && $(NBCONVERT) --coalesce-streams $$notebook || exit 1; done

# the site is one folder down, because myst-nb puts the notebooks' pictures beside the folder of the pages
docs: $(VENV)/.installed-dev
	$(PY) -m sphinx -q -W --keep-going -c docs . site/html
	@echo site/html/index.html

clean:
	rm -rf $(VENV)

$(PY):
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.10 on PATH; set PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(PY)
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-lab: pyproject.toml | $(PY)
	$(PIP) -e ".[notebooks]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml | $(PY)
	$(PIP) -e ".[dev,docs,play]"
	@touch $@ $(VENV)/.installed

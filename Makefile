# The words people and CI use. Every target sets up what it needs first.
#   make demo    leaves → teacher → student → int8 → C → emulated Cortex-M7 → table   (a quarter of an hour on two cores)
#   make test    the tests        make test-long   the slow ones too
#   make check   format, lint, types
# DATA=folder names your own images, RUN=name your own experiment.

SHELL := bash
# A pipe fails with any of its commands.
.SHELLFLAGS := -o pipefail -c
# `make -j` would run a demo and the tests in one folder at once; what can, runs on several cores by itself.
.NOTPARALLEL:
PY := .venv/bin/python
RUN ?= small-96
BOARD ?= qemu-m7
# Copies of an emulated board share the images: QEMU's serial line is slow, a core is not busy with it.
COPIES ?= 1
# How many images of a split to score; empty for all of them.
LIMIT ?=
SCORE = $(if $(LIMIT),--limit "$(LIMIT)")
# QUICK=1 times LiteRT and TensorFlow Lite Micro alone: Swin-L's timing takes most of the time.
BENCH ?= $(if $(QUICK),--only litert tflm)
DATA ?= $(SWIN2MCU_DATA)
export SWIN2MCU_DATA := $(DATA)

.PHONY: setup setup-dev demo board test test-long soak check format teacher reproduce test-board board-table bench-mcu bench-check clean

setup:
	@./setup.sh

setup-dev:
	@./setup.sh dev

# Every command of the chain, in the order data flows. SEED=1 draws other weights, of the same photos,
# in runs of their own: runs/demo-1.
SEED ?= 0
DEMO := demo$(if $(filter-out 0,$(SEED)),-$(SEED))
demo: setup
	$(PY) -m pytorch_side.data.synthetic --out build/leaves --per-class 450
	$(PY) -m pytorch_side.teacher --config configs/demo-teacher.toml --data build/leaves --out "runs/$(DEMO)-teacher" --set "seed=$(SEED)"
	$(PY) -m pytorch_side.distill --config configs/demo-student.toml --data build/leaves --out "runs/$(DEMO)" --set "seed=$(SEED)" --set "teacher.init=runs/$(DEMO)-teacher/teacher.safetensors"
	$(MAKE) --no-print-directory board RUN="$(DEMO)" DATA=build/leaves COPIES=4 LIMIT=200 BENCH="--threads 1 --only litert tflm"

# From a trained student to a scored board: runs/$(RUN)/student.safetensors → results.json.
board: setup
	$(PY) -m pytorch_side.qat "runs/$(RUN)"
	$(PY) -m pytorch_side.export "runs/$(RUN)"
	$(PY) -m tinyml.convert "runs/$(RUN)"
	$(PY) -m tinyml.parity "runs/$(RUN)" $(SCORE)
	$(PY) host_tools/bench_pc.py "runs/$(RUN)" $(SCORE) $(BENCH)
	$(PY) host_tools/flash.py "runs/$(RUN)" --board "$(BOARD)" --copies "$(COPIES)"
	$(PY) host_tools/serial_eval.py "runs/$(RUN)" --board "$(BOARD)" $(SCORE)
	$(PY) host_tools/flash.py --board "$(BOARD)" --stop

# A process for each core; a file's tests stay together, since they share what takes long to make.
PYTEST := $(PY) -m pytest -q -n logical --maxprocesses 4 --dist loadfile

test: setup-dev
	$(PYTEST) -m "not slow"

test-long: setup-dev
	$(PYTEST)

# Small trainings of many kinds, each through the whole chain; the figures go into docs/PARITY.md.
soak: setup-dev
	$(PY) -m swin2mcu.soak

check: setup-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	git ls-files -z | xargs -0 $(PY) -m codespell_lib
	git ls-files '*.c' '*.cc' '*.h' | xargs clang-format --dry-run -Werror

format: setup-dev
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .
	git ls-files '*.c' '*.cc' '*.h' | xargs clang-format -i

teacher: setup
	$(PY) -m pytorch_side.teacher --config configs/teacher.toml --out runs/teacher

# Trains a published model again, and what it stands on, then compares it with the published card.
# ImageNet weights come from timm's hub, or from a folder:
#   make reproduce MODEL=small-96 DATA=plantvillage-tomato WEIGHTS=folder
MODEL ?= small-96
WEIGHTS ?= $(wildcard weights)
reproduce: setup
	$(PY) -m pytorch_side.reproduce "$(MODEL)" $(if $(WEIGHTS),--weights "$(WEIGHTS)",--pretrained)
	$(MAKE) --no-print-directory board RUN="$(MODEL)" COPIES=4
	$(PY) -m tinyml.parity "runs/$(MODEL)" --split test
	$(PY) -m pytorch_side.reproduce "$(MODEL)" --check

# Checks the board at PORT (or the one that is connected or running) and writes board-report.json:
#   make test-board PORT=/dev/ttyACM0 RUN=small-96
test-board: setup
	$(PY) host_tools/check_board.py "$(RUN)" $(if $(PORT),--port "$(PORT)") $(if $(IMAGES),--images "$(IMAGES)")

# Writes the table of docs/BOARDS.md from docs/boards/*.json.
board-table: setup
	$(PY) -m host_tools.boards.reports

bench-mcu: setup-dev
	$(PY) host_tools/bench_mcu.py

# Fails when the published models cost more instructions or modeled cycles than firmware/counts.json says.
bench-check: setup-dev
	$(PY) host_tools/bench_mcu.py --check

# What you measured of published models (build/measured) stays.
clean:
	-[ ! -x $(PY) ] || $(PY) host_tools/flash.py --stop
	[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name measured -exec rm -rf {} +
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

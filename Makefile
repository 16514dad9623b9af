# A thin face on Meson. `make help` lists what it can do.
#
# Every directory that a target builds into is named build or build-*; none is ever committed.

BUILD ?= build
ARGS  ?=
TESTS ?=
SEEDS ?=

.DEFAULT_GOAL := build
.PHONY: help build run test test-quick test-long sim asan msan fuzz coverage format tidy install clean setup-build setup-test

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup-build:
	@tools/setup build

setup-test:
	@tools/setup test

$(BUILD)/build.ninja: | setup-build
	@meson setup $(BUILD) >$(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

build: setup-build $(BUILD)/build.ninja ## Build into build/ (the program is build/netstack)
	@ninja -C $(BUILD) --quiet

run: build ## Build, then start the stack on tun0 in the foreground: make run ARGS="--log-level debug"
	@exec ./$(BUILD)/netstack up $(ARGS)

test: setup-test ## Build, then run every test; the last line is "N passed, N failed, N skipped"
	@tools/test all

test-quick: setup-build build ## Only what needs neither root nor another build
	@tools/test quick

test-long: setup-test ## Fuzz every target for a minute, simulate longer, repeat under MSan
	@tools/test long

sim: build ## Simulate with other seeds: make sim SEEDS="17 1000-1099"
	@for t in $(BUILD)/tests/sim/sim-*; do \
	    [ -d $$t ] || { echo "# $$t"; SEEDS="$(SEEDS)" $$t || exit 1; }; done

asan msan fuzz coverage: setup-test ## Build another preset into build-PRESET/
	@tools/preset $@
	@ninja -C build-$@ --quiet

format: ## Lay out every C file
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format-14 -i

tidy: asan ## Run clang-tidy over the sources
	@git ls-files 'src/*.c' | xargs -P 2 -n 4 clang-tidy-14 -p build-asan --quiet

install: build ## Install the program, libraries, headers, man pages and completion
	@meson install -C $(BUILD)

clean: ## Remove everything that was built
	@rm -rf build build-*
